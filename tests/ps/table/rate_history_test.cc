#include "ps/table/rate_history.h"

#include <cstddef>
#include <vector>

#include <gtest/gtest.h>

namespace dcn::ps {
namespace {

TEST(RateHistoryTest, KeepsEveryStepsSize) {
  RateHistory history(AdamOptions{});
  EXPECT_EQ(history.last_step(), 0U);
  EXPECT_TRUE(history.Between(0, 0).step_sizes.empty());
  for (int i = 0; i < 5000; ++i) history.Append(i % 2 == 0 ? 0.01F : 0.02F);
  EXPECT_EQ(history.last_step(), 5000U);
  for (const Step step : {1ULL, 2ULL, 4096ULL, 4097ULL, 5000ULL}) {
    EXPECT_EQ(history.step_size(step),
              AdamStepSize(step % 2 == 1 ? 0.01F : 0.02F, 0.9F, 0.999F, step));
  }
  const MissedSteps missed = history.Between(10, 13);
  ASSERT_EQ(missed.step_sizes.size(), 3U);
  EXPECT_EQ(missed.step_sizes[0], history.step_size(11));
  EXPECT_EQ(missed.step_sizes[2], history.step_size(13));
  EXPECT_GE(history.memory_bytes(), 5000 * sizeof(float));
}

TEST(RateHistoryTest, KnowsSinceWhenStepsShrink) {
  const AdamOptions options;
  RateHistory history(options);
  for (int step = 1; step <= 100; ++step) history.Append(step < 50 ? 0.01F : 0.02F);
  // From step 49 to 50 the rate doubles; after that it stays.
  EXPECT_EQ(history.Between(0, 100).shrinking_from, 49U);
  EXPECT_EQ(history.Between(40, 100).shrinking_from, 9U);
  EXPECT_EQ(history.Between(49, 100).shrinking_from, 0U);
  EXPECT_EQ(history.Between(60, 100).shrinking_from, 0U);
  for (const Step from : {0ULL, 10ULL, 48ULL, 49ULL, 80ULL}) {
    const MissedSteps missed = history.Between(from, 100);
    for (std::size_t k = missed.shrinking_from + 1; k < missed.step_sizes.size(); ++k) {
      EXPECT_TRUE(IsShrinkingStep(options, missed.step_sizes[k - 1], missed.step_sizes[k]));
    }
  }
}

TEST(RateHistoryTest, AConstantRateShrinksFromTheStart) {
  RateHistory history(AdamOptions{});
  for (int step = 1; step <= 3000; ++step) history.Append(0.01F);
  EXPECT_EQ(history.Between(0, 3000).shrinking_from, 0U);
}

}  // namespace
}  // namespace dcn::ps
