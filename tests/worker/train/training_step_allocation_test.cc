// A training step takes no memory once the steps before it have had batches of its size.
//
// oneDNN allocates inside of each execution of a primitive (its list of arguments), which nobody
// outside can change: what its own code allocates is counted apart, and is no more in one step than
// in another of the same length.

#include <cstddef>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "ps/server/local_shard.h"
#include "ps/server/shard.h"
#include "tests/testing/allocation_count.h"
#include "tests/testing/engines.h"
#include "tests/testing/small_training.h"
#include "worker/communicator/local.h"
#include "worker/model/dense_model.h"
#include "worker/train/frozen_batches.h"
#include "worker/train/training_step.h"

namespace dcn::train {
namespace {

constexpr std::size_t kFirstStep = 10;
constexpr std::size_t kLastStep = 20;

struct Job {
  std::string name;
  ps::OptimizerOptions optimizer;
  int threads;
  std::string engine;
  // Whether there are slices shorter than the others. Which thread computes one of several is
  // chance, and each makes what it needs when it first has one of that length.
  bool has_short_slices;
};

class TrainingStepAllocationTest : public ::testing::TestWithParam<Job> {};

TEST_P(TrainingStepAllocationTest, StepsTenToTwentyAllocateNothing) {
  DCN_SKIP_WITHOUT_ALLOCATION_COUNT();
  DCN_SKIP_WITHOUT_ENGINE(GetParam().engine);
  ASSERT_TRUE(testing::SetLibraryApart("libdnnl"));
  const std::size_t row_count = GetParam().has_short_slices ? 330 : 300;
  const data::Dataset dataset = testing::SmallDataset(row_count, 1);
  const model::ModelSpec spec = testing::SmallModel(dataset);
  std::vector<std::uint32_t> rows(row_count);
  std::iota(rows.begin(), rows.end(), 0U);
  const BatchCut cut = {.batch_rows = 100, .slice_rows = GetParam().has_short_slices ? 8U : 10U};
  ThreadPool pool(GetParam().threads);
  const std::unique_ptr<model::DenseModel> model =
      testing::MakeEngine(GetParam().engine, spec, pool.thread_count(), cut.slice_rows);
  std::vector<std::unique_ptr<ps::Shard>> owners;
  Shards shards;
  for (int s = 0; s < 2; ++s) {
    owners.push_back(std::make_unique<ps::Shard>());
    shards.push_back(std::make_unique<ps::LocalShard>(*owners.back()));
    ASSERT_TRUE(shards.back()->CreateTables(TableDefinitions(spec, 1, GetParam().optimizer)).ok());
  }
  std::vector<float> dense(spec.dense_size());
  model::InitializeDense(spec, 1, dense);
  comm::SingleCommunicator communicator;
  TrainingStep step(spec, {.cut = cut, .optimizer = GetParam().optimizer}, std::move(dense), *model,
                    shards, communicator, pool);
  FrozenBatches batches(dataset, rows, cut, MakeTableLayout(spec, 2));
  for (std::size_t b = 0; b < batches.count(); ++b) batches.Prepare(b);

  std::map<std::size_t, std::size_t> library_takes;  // by the batch's rows
  ASSERT_TRUE(step.Pull(batches.Get(0)).ok());
  for (std::size_t t = 1; t <= kLastStep; ++t) {
    const data::BatchPlan& batch = batches.Get((t - 1) % batches.count());
    const data::BatchPlan& next = batches.Get(t % batches.count());
    const testing::AllocationCount before = testing::CountAllocations();
    ASSERT_TRUE(step.Run(batch, &next, 0.01F).ok());
    const testing::AllocationCount after = testing::CountAllocations();
    if (t < kFirstStep) continue;
    EXPECT_EQ(after.allocations - before.allocations, 0U) << "step " << t;
    if (GetParam().threads > 1) continue;  // what each thread's first product takes comes by chance
    const std::size_t by_library = after.by_library - before.by_library;
    EXPECT_EQ(by_library, library_takes.try_emplace(batch.rows(), by_library).first->second)
        << "step " << t;
  }
}

INSTANTIATE_TEST_SUITE_P(
    , TrainingStepAllocationTest,
    ::testing::Values(Job{"adam", ps::AdamOptions{}, 1, "onednn", true},
                      Job{"lazy_adam", ps::LazyAdamOptions{}, 1, "onednn", true},
                      Job{"adagrad", ps::AdagradOptions{}, 1, "onednn", true},
                      Job{"sgd", ps::SgdOptions{}, 1, "onednn", true},
                      Job{"adam_threads", ps::AdamOptions{}, 3, "onednn", false},
                      Job{"adam_bf16", ps::AdamOptions{}, 3, testing::kBf16Engine, false}),
    [](const auto& job) { return job.param.name; });

}  // namespace
}  // namespace dcn::train
