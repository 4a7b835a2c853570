// A training step takes no memory once the steps before it have had batches of its size.
//
// The model is a plain one: oneDNN allocates inside of each execution of a primitive (its list of
// arguments), which nobody outside can change.

#include <algorithm>
#include <cstddef>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "ps/server/local_shard.h"
#include "ps/server/shard.h"
#include "tests/testing/allocation_count.h"
#include "tests/testing/small_training.h"
#include "worker/communicator/local.h"
#include "worker/model/dense_model.h"
#include "worker/train/frozen_batches.h"
#include "worker/train/training_step.h"

namespace dcn::train {
namespace {

constexpr std::size_t kRows = 330;
constexpr std::size_t kFirstStep = 10;
constexpr std::size_t kLastStep = 20;

// Gradients that depend on what it is given, without a library.
class PlainModel final : public model::DenseModel {
 public:
  void SetParameters(std::span<const float> parameters, ThreadPool& /*pool*/) override {
    first_ = parameters[0];
  }
  void Forward(int /*thread*/, model::Rows rows, std::span<float> predictions) override {
    const auto x0 = std::get<std::span<const float>>(rows);
    const std::size_t width = x0.size() / predictions.size();
    for (std::size_t i = 0; i < predictions.size(); ++i) predictions[i] = first_ * x0[i * width];
  }
  void ForwardBackward(int thread, const model::TrainingSlice& slice,
                       model::SliceGradient& out) override {
    const auto x0 = std::get<std::span<const float>>(slice.x0);
    Forward(thread, x0, out.predictions);
    std::ranges::copy(x0, std::get<std::span<float>>(out.x0_gradient).begin());
    for (float& value : out.dense_gradient) value = out.adds_dense_gradient ? value + x0[0] : x0[0];
    out.squared_error = static_cast<double>(out.predictions[0]);
  }
  [[nodiscard]] model::Precision row_precision() const override { return model::Precision::kFp32; }
  [[nodiscard]] std::string engine_description() const override { return "plain"; }

 private:
  float first_ = 0;
};

struct Job {
  std::string optimizer;
  ps::OptimizerOptions options;
};

class TrainingStepAllocationTest : public ::testing::TestWithParam<Job> {};

TEST_P(TrainingStepAllocationTest, StepsTenToTwentyAllocateNothing) {
  DCN_SKIP_WITHOUT_ALLOCATION_COUNT();
  const data::Dataset dataset = testing::SmallDataset(kRows, 1);
  const model::ModelSpec spec = testing::SmallModel(dataset);
  std::vector<std::uint32_t> rows(kRows);
  std::iota(rows.begin(), rows.end(), 0U);
  ThreadPool pool(1);
  PlainModel model;
  std::vector<std::unique_ptr<ps::Shard>> owners;
  Shards shards;
  for (int s = 0; s < 2; ++s) {
    owners.push_back(std::make_unique<ps::Shard>());
    shards.push_back(std::make_unique<ps::LocalShard>(*owners.back()));
    ASSERT_TRUE(shards.back()->CreateTables(TableDefinitions(spec, 1, GetParam().options)).ok());
  }
  std::vector<float> dense(spec.dense_size());
  model::InitializeDense(spec, 1, dense);
  comm::SingleCommunicator communicator;
  const BatchCut cut = {.batch_rows = 100, .slice_rows = 8};
  TrainingStep step(spec, {.cut = cut, .optimizer = GetParam().options}, std::move(dense), model,
                    shards, communicator, pool);
  FrozenBatches batches(dataset, rows, cut, MakeTableLayout(spec, 2));
  for (std::size_t b = 0; b < batches.count(); ++b) batches.Prepare(b);

  ASSERT_TRUE(step.Pull(batches.Get(0)).ok());
  for (std::size_t t = 1; t <= kLastStep; ++t) {
    const data::BatchPlan& batch = batches.Get((t - 1) % batches.count());
    const data::BatchPlan& next = batches.Get(t % batches.count());
    const std::size_t before = testing::CountAllocations().allocations;
    ASSERT_TRUE(step.Run(batch, &next, 0.01F).ok());
    const std::size_t taken = testing::CountAllocations().allocations - before;
    if (t >= kFirstStep) {
      EXPECT_EQ(taken, 0U) << "step " << t;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Optimizers, TrainingStepAllocationTest,
                         ::testing::Values(Job{"adam", ps::AdamOptions{}},
                                           Job{"lazy_adam", ps::LazyAdamOptions{}},
                                           Job{"adagrad", ps::AdagradOptions{}},
                                           Job{"sgd", ps::SgdOptions{}}),
                         [](const auto& job) { return job.param.optimizer; });

}  // namespace
}  // namespace dcn::train
