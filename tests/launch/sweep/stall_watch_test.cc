#include "launch/sweep/stall_watch.h"

#include <chrono>
#include <optional>

#include <gtest/gtest.h>

namespace dcn::sweep {
namespace {

using namespace std::chrono_literals;
using output::StepPhase;
using output::StepReport;

constexpr StepReport InSteps(std::uint64_t step) {
  return {.phase = StepPhase::kSteps, .resumed_from = 0, .last_step = step};
}

TEST(StallWatchTest, EndsARunBetweenTwoStepsAfterTheLimit) {
  StallWatch watch(2s);
  EXPECT_FALSE(watch.Take(InSteps(3), 500ms));
  for (int look = 0; look < 3; ++look) EXPECT_FALSE(watch.Take(InSteps(3), 500ms)) << look;
  EXPECT_TRUE(watch.Take(InSteps(3), 500ms));
}

TEST(StallWatchTest, BeginsAnewWithEachStep) {
  StallWatch watch(2s);
  for (std::uint64_t step = 0; step < 100; ++step) {
    EXPECT_FALSE(watch.Take(InSteps(step), 1s));
    EXPECT_FALSE(watch.Take(InSteps(step), 1s));
  }
  EXPECT_TRUE(watch.Take(InSteps(99), 1s));
}

TEST(StallWatchTest, CountsNoTimeOutsideTheSteps) {
  StallWatch watch(2s);
  for (int look = 0; look < 100; ++look) {
    EXPECT_FALSE(watch.Take(std::nullopt, 1s));
    EXPECT_FALSE(watch.Take(StepReport{}, 1s));
  }
  EXPECT_FALSE(watch.Take(InSteps(0), 1s));
  EXPECT_FALSE(watch.Take(InSteps(0), 1s));
  StepReport after = InSteps(0);
  after.phase = StepPhase::kAfter;
  for (int look = 0; look < 100; ++look) EXPECT_FALSE(watch.Take(after, 1s));
}

TEST(StallWatchTest, CountsASecondAtMostWhereItCouldNotLook) {
  StallWatch watch(3s);
  EXPECT_FALSE(watch.Take(InSteps(3), 1h));
  EXPECT_FALSE(watch.Take(InSteps(3), 1h));
  EXPECT_FALSE(watch.Take(InSteps(3), 1h));
  EXPECT_TRUE(watch.Take(InSteps(3), 1h));
}

TEST(StallWatchTest, LetsAStepTakeAsLongAsItLikes) {
  StallWatch watch(0s);
  for (int look = 0; look < 1000; ++look) EXPECT_FALSE(watch.Take(InSteps(3), 1s));
}

}  // namespace
}  // namespace dcn::sweep
