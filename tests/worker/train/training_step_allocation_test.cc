// A step of the training loop takes no memory once the steps before it have had batches of its size
// and all batches are planned: in the first epoch a step also plans a later one's batch, which is
// kept. One process with its shards inside; what other processes are sent takes some small blocks.
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

#include "common/aligned_floats.h"
#include "ps/server/local_shard.h"
#include "ps/server/shard.h"
#include "tests/testing/allocation_count.h"
#include "tests/testing/engines.h"
#include "tests/testing/small_training.h"
#include "worker/communicator/local.h"
#include "worker/model/dense_model.h"
#include "worker/train/frozen_batches.h"
#include "worker/train/trainer.h"
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
  ASSERT_LT(batches.count() + 2, kFirstStep) << "each is planned by then";

  struct Seen {
    testing::AllocationCount count;  // after the step
    std::size_t rows = 0;
  };
  std::vector<Seen> seen;
  seen.reserve(kLastStep);
  const auto observer = [&](const Progress& progress) {
    seen.push_back({testing::CountAllocations(), progress.rows});
    return true;
  };
  const LoopOptions loop = {.epochs = 100, .max_steps = kLastStep, .learning_rate = 0.01F};
  ASSERT_TRUE(Train(loop, batches, step, observer).ok());
  ASSERT_EQ(seen.size(), kLastStep);

  std::map<std::size_t, std::size_t> library_takes;  // by the batch's rows
  for (std::size_t t = kFirstStep; t <= kLastStep; ++t) {
    const Seen& before = seen[t - 2];
    const Seen& after = seen[t - 1];
    EXPECT_EQ(after.count.allocations - before.count.allocations, 0U) << "step " << t;
    if (GetParam().threads > 1) continue;  // what each thread's first product takes comes by chance
    const std::size_t by_library = after.count.by_library - before.count.by_library;
    EXPECT_EQ(by_library, library_takes.try_emplace(after.rows, by_library).first->second)
        << "step " << t;
  }
}

TEST(AllocationCountTest, SeesTheBlocksOfKernelsAndTables) {
  DCN_SKIP_WITHOUT_ALLOCATION_COUNT();
  for (const std::size_t size : {1U, 1U << 20U}) {  // in huge pages, too
    const testing::AllocationCount before = testing::CountAllocations();
    { const AlignedFloats floats(size); }
    const testing::AllocationCount after = testing::CountAllocations();
    EXPECT_EQ(after.allocations - before.allocations, 1U);
    EXPECT_EQ(after.releases - before.releases, 1U);
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
