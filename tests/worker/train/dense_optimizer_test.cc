#include "worker/train/dense_optimizer.h"

#include <vector>

#include <gtest/gtest.h>

#include "common/floating_point.h"
#include "common/random.h"
#include "tests/testing/reference_model.h"

namespace dcn::train {
namespace {

constexpr std::size_t kSize = 37;

std::vector<float> Values(std::uint64_t stream) {
  std::vector<float> values(kSize);
  RandomStream(1, stream).FillUniform(1.0F, 0, values);
  return values;
}

std::vector<float> TwentySteps(const ps::OptimizerOptions& options,
                               const std::vector<std::size_t>& cuts) {
  FlushDenormalsToZero();
  DenseOptimizer optimizer(options, Values(0));
  for (ps::Step step = 1; step <= 20; ++step) {
    const std::vector<float> gradient = Values(step);
    for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
      optimizer.Update(step, 0.01F, cuts[i],
                       std::span(gradient).subspan(cuts[i], cuts[i + 1] - cuts[i]));
    }
  }
  return {optimizer.parameters().begin(), optimizer.parameters().end()};
}

TEST(DenseOptimizer, GivesTheSameBitsHoweverItIsCut) {
  const ps::OptimizerOptions rules[] = {ps::AdamOptions{}, ps::LazyAdamOptions{},
                                        ps::AdagradOptions{}, ps::SgdOptions{}};
  for (const ps::OptimizerOptions& options : rules) {
    SCOPED_TRACE(options.index());
    const auto whole = TwentySteps(options, {0, kSize});
    EXPECT_EQ(TwentySteps(options, {0, 1, 17, 18, 36, kSize}), whole);
    EXPECT_EQ(TwentySteps(options, {0, 16, 32, kSize}), whole);
  }
}

TEST(DenseOptimizer, FollowsAdamInDoublePrecision) {
  std::vector<double> expected;
  for (const float value : Values(0)) expected.push_back(value);
  testing::ReferenceAdam adam(
      {.learning_rate = 0.01, .beta_1 = 0.9, .beta_2 = 0.999, .epsilon = 1e-7}, kSize);
  for (ps::Step step = 1; step <= 20; ++step) {
    const std::vector<float> gradient = Values(step);
    adam.Step(std::vector<double>(gradient.begin(), gradient.end()), expected);
  }
  const auto actual = TwentySteps(ps::AdamOptions{}, {0, kSize});
  for (std::size_t i = 0; i < kSize; ++i) EXPECT_NEAR(actual[i], expected[i], 2e-6) << i;
}

TEST(DenseOptimizer, TreatsLazyAdamAsAdam) {
  EXPECT_EQ(TwentySteps(ps::LazyAdamOptions{}, {0, kSize}),
            TwentySteps(ps::AdamOptions{}, {0, kSize}));
}

TEST(DenseOptimizer, AssignForgetsTheState) {
  DenseOptimizer optimizer(ps::AdamOptions{}, Values(0));
  optimizer.Update(1, 0.01F, 0, Values(1));
  optimizer.Assign(Values(0));
  optimizer.Update(1, 0.01F, 0, Values(2));
  DenseOptimizer fresh(ps::AdamOptions{}, Values(0));
  fresh.Update(1, 0.01F, 0, Values(2));
  EXPECT_TRUE(std::equal(fresh.parameters().begin(), fresh.parameters().end(),
                         optimizer.parameters().begin()));
}

}  // namespace
}  // namespace dcn::train
