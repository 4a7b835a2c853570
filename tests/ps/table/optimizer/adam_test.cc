#include "ps/table/optimizer/adam.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "common/check.h"
#include "common/floating_point.h"
#include "common/random.h"
#include "tests/ps/float_bits.h"
#include "tests/ps/slow_table.h"

namespace dcn::ps {
namespace {

using testing::Bits;
using testing::SlowAdamLane;

constexpr std::size_t kDimensions[] = {0, 1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 48, 64, 100};

struct State {
  std::vector<float> w, m, v;
};

// Values of every size from `smallest` to 1, of both signs, some zeros of both signs.
std::vector<float> WildValues(std::uint64_t stream, std::size_t size, double smallest) {
  const RandomStream random(1, stream);
  std::vector<float> values(size);
  for (std::size_t i = 0; i < size; ++i) {
    const double magnitude = std::exp(random.Uniform(2 * i) * std::log(smallest));
    const double sign = random.Uniform(2 * i + 1) < 0.5 ? -1 : 1;
    const bool is_zero = random.Uniform(2 * i) < 0.1;
    values[i] = static_cast<float>(sign * (is_zero ? 0 : magnitude));
  }
  return values;
}

State WildState(std::size_t size, double smallest) {
  State state{WildValues(1, size, smallest), WildValues(2, size, smallest),
              WildValues(3, size, smallest)};
  for (float& value : state.v) value = std::abs(value);
  return state;
}

void SlowSweep(const AdamOptions& o, std::span<const float> step_sizes, State& state) {
  for (const float step_size : step_sizes) {
    for (std::size_t i = 0; i < state.w.size(); ++i) {
      SlowAdamLane(o.beta_1, o.beta_2, o.epsilon, step_size, 0.0F, state.w[i], state.m[i],
                   state.v[i]);
    }
  }
}

void ExpectSameBits(const State& a, const State& b, const std::string& what) {
  EXPECT_EQ(Bits(a.w), Bits(b.w)) << what;
  EXPECT_EQ(Bits(a.m), Bits(b.m)) << what;
  EXPECT_EQ(Bits(a.v), Bits(b.v)) << what;
}

class AdamTest : public ::testing::Test {
 protected:
  void SetUp() override { FlushDenormalsToZero(); }
};

TEST_F(AdamTest, StepSizeIsTheCorrectedRate) {
  for (const Step step : {1ULL, 2ULL, 10ULL, 184ULL, 3000ULL, 100000ULL}) {
    const double t = static_cast<double>(step);
    const double expected = 0.01 * std::sqrt(1 - std::pow(0.999, t)) / (1 - std::pow(0.9, t));
    EXPECT_NEAR(static_cast<double>(AdamStepSize(0.01F, 0.9F, 0.999F, step)), expected,
                expected * 1e-5);
  }
  EXPECT_EQ(AdamStepSize(0.0F, 0.9F, 0.999F, 1), 0.0F);
  EXPECT_EQ(AdamStepSize(0.25F, 0.0F, 0.0F, 7), 0.25F);
  EXPECT_THROW(std::ignore = AdamStepSize(0.01F, 0.9F, 0.999F, 0), CheckError);
}

TEST_F(AdamTest, StepHasTheBitsOfTheScalarFormula) {
  for (const std::size_t size : kDimensions) {
    for (const double smallest : {1e-3, 1e-44}) {
      State state = WildState(size, smallest);
      State slow = state;
      for (Step step = 1; step <= 20; ++step) {
        const auto g = WildValues(100 + step, size, smallest);
        const AdamCoefficients c = {.step_size = AdamStepSize(0.01F, 0.9F, 0.999F, step)};
        AdamUpdate(c, state.w, state.m, state.v, g);
        for (std::size_t i = 0; i < size; ++i) {
          SlowAdamLane(c.beta_1, c.beta_2, c.epsilon, c.step_size, g[i], slow.w[i], slow.m[i],
                       slow.v[i]);
        }
      }
      ExpectSameBits(state, slow, fmt::format("{} lanes, from {}", size, smallest));
    }
  }
}

TEST_F(AdamTest, StepWithoutGradientIsAStepWithZeros) {
  for (const std::size_t size : kDimensions) {
    State state = WildState(size, 1e-44);
    State with_zeros = state;
    const std::vector<float> zeros(size, 0.0F);
    for (Step step = 1; step <= 50; ++step) {
      const AdamCoefficients c = {.step_size = AdamStepSize(0.01F, 0.9F, 0.999F, step)};
      AdamUpdate(c, state.w, state.m, state.v);
      AdamUpdate(c, with_zeros.w, with_zeros.m, with_zeros.v, zeros);
    }
    ExpectSameBits(state, with_zeros, fmt::format("{} lanes", size));
  }
}

TEST_F(AdamTest, FollowsTheFormulaInDoublePrecision) {
  constexpr std::size_t kSize = 16;
  const auto w_0 = WildValues(1, kSize, 1e-2);
  State state{w_0, std::vector<float>(kSize), std::vector<float>(kSize)};
  std::vector<double> w(w_0.begin(), w_0.end());
  std::vector<double> m(kSize);
  std::vector<double> v(kSize);
  for (Step step = 1; step <= 200; ++step) {
    const auto g = WildValues(100 + step, kSize, 1e-3);
    AdamUpdate({.step_size = AdamStepSize(0.01F, 0.9F, 0.999F, step)}, state.w, state.m, state.v,
               g);
    const double t = static_cast<double>(step);
    const double rate = 0.01 * std::sqrt(1 - std::pow(0.999, t)) / (1 - std::pow(0.9, t));
    for (std::size_t i = 0; i < kSize; ++i) {
      const double gradient = static_cast<double>(g[i]);
      m[i] = 0.9 * m[i] + 0.1 * gradient;
      v[i] = 0.999 * v[i] + 0.001 * gradient * gradient;
      w[i] -= rate * m[i] / (std::sqrt(v[i]) + 1e-7);
    }
  }
  for (std::size_t i = 0; i < kSize; ++i) {
    EXPECT_NEAR(static_cast<double>(state.w[i]), w[i], 2e-5) << i;
  }
}

// lr at step 1, whatever the gradient's size: the bias correction at work.
TEST_F(AdamTest, FirstStepMovesByTheLearningRate) {
  std::vector<float> w = {1.0F, 1.0F};
  std::vector<float> m(2);
  std::vector<float> v(2);
  AdamUpdate({.step_size = AdamStepSize(0.01F, 0.9F, 0.999F, 1)}, w, m, v,
             std::vector<float>{5.0F, -0.1F});
  EXPECT_NEAR(w[0], 0.99F, 1e-6F);
  EXPECT_NEAR(w[1], 1.01F, 1e-6F);
}

// Rates of `steps` steps from `first` on.
std::vector<float> StepSizes(const AdamOptions& o, const std::string& schedule, Step first,
                             std::size_t steps) {
  std::vector<float> sizes;
  for (std::size_t k = 0; k < steps; ++k) {
    float rate = 0.01F;
    if (schedule == "decaying") rate = 0.01F / (1.0F + static_cast<float>(k));
    if (schedule == "restarting") rate = 0.01F * std::exp(-static_cast<float>(k % 100) / 4.0F);
    if (schedule == "pausing") rate = k % 400 < 300 ? 0.0F : 0.1F;
    if (schedule == "growing") rate = 1e-9F * std::exp(static_cast<float>(k) / 20.0F);
    sizes.push_back(AdamStepSize(rate, o.beta_1, o.beta_2, first + k));
  }
  return sizes;
}

// The oracle decides from the definition, not from running maxima as the history does.
std::size_t ShrinkingFrom(const AdamOptions& o, std::span<const float> sizes) {
  std::size_t from = 0;
  for (std::size_t k = 1; k < sizes.size(); ++k) {
    if (!IsShrinkingStep(o, sizes[k - 1], sizes[k])) from = k;
  }
  return from;
}

struct ReplayCase {
  AdamOptions options;
  std::string schedule;
};

class AdamReplayTest : public ::testing::TestWithParam<ReplayCase> {
 protected:
  void SetUp() override { FlushDenormalsToZero(); }
};

TEST_P(AdamReplayTest, HasTheBitsOfOneSweepAStep) {
  const auto& [options, schedule] = GetParam();
  for (const std::size_t size : kDimensions) {
    for (const std::size_t steps : {0U, 1U, 2U, 7U, 8U, 9U, 100U, 900U}) {
      for (const double smallest : {1e-3, 1e-12, 1e-44}) {
        const auto sizes = StepSizes(options, schedule, 3, steps);
        State replayed = WildState(size, smallest);
        State swept = replayed;
        AdamReplay(options, {.step_sizes = sizes, .shrinking_from = ShrinkingFrom(options, sizes)},
                   replayed.w, replayed.m, replayed.v);
        SlowSweep(options, sizes, swept);
        ExpectSameBits(replayed, swept,
                       fmt::format("{} lanes, {} steps, from {}", size, steps, smallest));
        if (HasFailure()) return;
      }
    }
  }
}

constexpr AdamOptions kKeras{};
constexpr AdamOptions kSlowMean{.beta_1 = 0.999F, .beta_2 = 0.9F};
constexpr AdamOptions kNoMemory{.beta_1 = 0.0F, .beta_2 = 0.0F};
constexpr AdamOptions kTinyEpsilon{.beta_1 = 0.99F, .beta_2 = 0.97F, .epsilon = 1e-30F};
INSTANTIATE_TEST_SUITE_P(
    Rules, AdamReplayTest,
    ::testing::Values(ReplayCase{kKeras, "constant"}, ReplayCase{kKeras, "decaying"},
                      ReplayCase{kKeras, "restarting"}, ReplayCase{kKeras, "pausing"},
                      ReplayCase{kKeras, "growing"}, ReplayCase{kSlowMean, "constant"},
                      ReplayCase{kSlowMean, "pausing"}, ReplayCase{kNoMemory, "constant"},
                      ReplayCase{kNoMemory, "pausing"}, ReplayCase{kTinyEpsilon, "constant"},
                      ReplayCase{kTinyEpsilon, "growing"}));

TEST_F(AdamTest, ReplaySettlesWithinItsShortCuts) {
  // So that the bits above say something about the short cuts: with Keras' betas and a constant
  // rate, w, m and v all become final on the way.
  const AdamOptions options{.beta_1 = 0.9F, .beta_2 = 0.9F};
  const auto sizes = StepSizes(options, "constant", 100, 3000);
  EXPECT_EQ(ShrinkingFrom(options, sizes), 0U);
  State state{{0.5F}, {1e-3F}, {1e-6F}};
  AdamReplay(options, {.step_sizes = sizes}, state.w, state.m, state.v);
  EXPECT_EQ(state.m[0], 0.0F);
  EXPECT_EQ(state.v[0], 0.0F);
  EXPECT_NE(state.w[0], 0.5F);
}

TEST_F(AdamTest, ShrinkingStepsNeedRatesThatGrowLessThanMomentsShrink) {
  EXPECT_TRUE(IsShrinkingStep(kKeras, 0.01F, 0.01F));
  EXPECT_TRUE(IsShrinkingStep(kKeras, 0.01F, 0.0F));
  EXPECT_TRUE(IsShrinkingStep(kKeras, 0.01F, 0.011F));  // 0.9 x 1.1 < sqrt(0.999)
  EXPECT_FALSE(IsShrinkingStep(kKeras, 0.01F, 0.0112F));
  EXPECT_FALSE(IsShrinkingStep(kKeras, 0.0F, 0.01F));
  EXPECT_FALSE(IsShrinkingStep(kSlowMean, 0.01F, 0.01F));  // the denominator shrinks faster
  EXPECT_FALSE(IsShrinkingStep(kTinyEpsilon, 0.01F, 0.001F));
}

}  // namespace
}  // namespace dcn::ps
