// Threads and shards decide who computes, never what: whole runs compared bit for bit.

#include "worker/train/training_step.h"

#include <cmath>
#include <string>
#include <tuple>

#include <gtest/gtest.h>

#include "tests/testing/engines.h"
#include "tests/testing/small_training.h"

namespace dcn::train {
namespace {

using testing::SmallOutcome;
using testing::SmallRun;

void ExpectSame(const SmallOutcome& a, const SmallOutcome& b) {
  EXPECT_EQ(a.parameter_digest, b.parameter_digest);
  EXPECT_EQ(a.losses, b.losses);
  EXPECT_EQ(a.predictions, b.predictions);
  EXPECT_EQ(a.rmse, b.rmse);
}

ps::OptimizerOptions Optimizer(const std::string& name) {
  if (name == "adam") return ps::AdamOptions{};
  if (name == "lazy_adam") return ps::LazyAdamOptions{};
  if (name == "adagrad") return ps::AdagradOptions{};
  return ps::SgdOptions{};
}

class SameBits : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {};

TEST_P(SameBits, ForAnyNumberOfThreadsAndShards) {
  const auto& [engine, optimizer] = GetParam();
  DCN_SKIP_WITHOUT_ENGINE(engine);
  SmallRun run;
  run.engine = engine;
  run.optimizer = Optimizer(optimizer);
  const SmallOutcome expected = testing::TrainSmall(run);
  ASSERT_EQ(expected.losses.size(), 12U);
  for (const int threads : {1, 2, 3, 4}) {
    for (const std::uint32_t shards : {1U, 2U, 5U}) {
      SCOPED_TRACE(fmt::format("{} threads, {} shards", threads, shards));
      run.threads = threads;
      run.shards = shards;
      ExpectSame(testing::TrainSmall(run), expected);
    }
  }
}

TEST_P(SameBits, ForAnyNumberOfRanks) {
  const auto& [engine, optimizer] = GetParam();
  DCN_SKIP_WITHOUT_ENGINE(engine);
  SmallRun run;  // 13 leaves a batch; the last one of an epoch has 4, which some ranks do not reach
  run.engine = engine;
  run.optimizer = Optimizer(optimizer);
  const SmallOutcome expected = testing::TrainSmall(run);
  for (const std::uint32_t ranks : {2U, 3U, 4U, 7U, 16U}) {
    SCOPED_TRACE(fmt::format("{} ranks", ranks));
    run.ranks = ranks;
    run.shards = ranks % 3 + 1;
    run.threads = static_cast<int>(ranks % 2 + 1);
    ExpectSame(testing::TrainSmall(run), expected);
  }
}

INSTANTIATE_TEST_SUITE_P(
    , SameBits,
    ::testing::Values(std::tuple("onednn", "adam"), std::tuple("onednn", "lazy_adam"),
                      std::tuple("onednn", "adagrad"), std::tuple("onednn", "sgd"),
                      std::tuple(testing::kBf16Engine, "adam"), std::tuple("torch", "adam")),
    [](const auto& test) { return std::get<0>(test.param) + "_" + std::get<1>(test.param); });

TEST(TrainingStep, RepeatsARunBitForBit) {
  const SmallRun run{.threads = 3, .shards = 2};
  ExpectSame(testing::TrainSmall(run), testing::TrainSmall(run));
}

TEST(TrainingStep, DependsOnTheSeed) {
  EXPECT_NE(testing::TrainSmall({.seed = 1}).parameter_digest,
            testing::TrainSmall({.seed = 2}).parameter_digest);
}

TEST(TrainingStep, LearnsSomething) {
  const SmallOutcome outcome =
      testing::TrainSmall({.loop = {.epochs = 40, .learning_rate = 0.01F}});
  EXPECT_LT(outcome.losses.back(), 0.5 * outcome.losses.front());
}

// One slice or many: other roundings, the same mathematics.
TEST(TrainingStep, NearlyAgreesForAnotherSliceLength) {
  const SmallOutcome many = testing::TrainSmall({.slice_rows = 8});
  const SmallOutcome one = testing::TrainSmall({.slice_rows = 100});
  EXPECT_NE(many.parameter_digest, one.parameter_digest);
  EXPECT_NEAR(many.rmse, one.rmse, 1e-3);
}

TEST(TrainingStep, EnginesNearlyAgree) {
  DCN_SKIP_WITHOUT_ENGINE("torch");
  const SmallOutcome onednn = testing::TrainSmall({.engine = "onednn"});
  const SmallOutcome torch = testing::TrainSmall({.engine = "torch"});
  EXPECT_NEAR(onednn.losses.front(), torch.losses.front(), 1e-5);
  EXPECT_NEAR(onednn.rmse, torch.rmse, 1e-3);
}

// Over twelve steps the roundings of bf16 (1/256) hardly tell.
TEST(TrainingStep, Bf16NearlyAgreesAndIsNotFloat32) {
  DCN_SKIP_WITHOUT_ENGINE(testing::kBf16Engine);
  const SmallOutcome fp32 = testing::TrainSmall({.engine = "onednn"});
  const SmallOutcome bf16 = testing::TrainSmall({.engine = testing::kBf16Engine});
  EXPECT_NEAR(bf16.losses.front(), fp32.losses.front(), 1e-3 * fp32.losses.front());
  EXPECT_NEAR(bf16.rmse, fp32.rmse, 1e-2);
  EXPECT_NE(bf16.parameter_digest, fp32.parameter_digest);
}

// A batch of one slice, of one row; more slices than rows.
TEST(TrainingStep, TakesBatchesOfAnySize) {
  for (const std::size_t batch_rows : {std::size_t{1}, std::size_t{7}, std::size_t{330}}) {
    SCOPED_TRACE(batch_rows);
    SmallRun run{.batch_rows = batch_rows, .loop = {.epochs = 1}};
    const SmallOutcome alone = testing::TrainSmall(run);
    EXPECT_TRUE(std::isfinite(alone.rmse));
    run.threads = 3;
    run.shards = 5;
    ExpectSame(testing::TrainSmall(run), alone);
  }
}

}  // namespace
}  // namespace dcn::train
