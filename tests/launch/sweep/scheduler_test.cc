#include "launch/sweep/scheduler.h"

#include <algorithm>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "common/check.h"

namespace dcn::sweep {
namespace {

constexpr ProcessExit kGood{};
constexpr ProcessExit kBad{.code = 2, .signal = 0};
constexpr ProcessExit kKilled{.code = 0, .signal = 9};

TEST(SchedulerTest, IsOverAtOnceWithoutRuns) {
  Scheduler scheduler({}, 1, 0);
  EXPECT_TRUE(scheduler.is_over());
  EXPECT_EQ(scheduler.StartNext(), std::nullopt);
}

TEST(SchedulerTest, IsOverAtOnceWhenAllIsDone) {
  Scheduler scheduler({true, true}, 3, 0);
  EXPECT_TRUE(scheduler.is_over());
  EXPECT_EQ(scheduler.done_count(), 2U);
}

TEST(SchedulerTest, StartsInOrderAndSkipsWhatIsDone) {
  Scheduler scheduler({false, true, false, false}, 2, 0);
  EXPECT_EQ(scheduler.StartNext(), 0U);
  EXPECT_EQ(scheduler.StartNext(), 2U);
  EXPECT_EQ(scheduler.StartNext(), std::nullopt);  // no slot
  EXPECT_EQ(scheduler.Finish(2, kGood), Verdict::kDone);
  EXPECT_EQ(scheduler.StartNext(), 3U);
  EXPECT_EQ(scheduler.Finish(0, kGood), Verdict::kDone);
  EXPECT_EQ(scheduler.StartNext(), std::nullopt);
  EXPECT_FALSE(scheduler.is_over());
  EXPECT_EQ(scheduler.Finish(3, kGood), Verdict::kDone);
  EXPECT_TRUE(scheduler.is_over());
  EXPECT_EQ(scheduler.done_count(), 4U);
}

TEST(SchedulerTest, RestartsAKilledRunBeforeAnyOther) {
  Scheduler scheduler({false, false}, 1, 2);
  EXPECT_EQ(scheduler.StartNext(), 0U);
  EXPECT_EQ(scheduler.Finish(0, kKilled), Verdict::kRestart);
  EXPECT_EQ(scheduler.restarts(0), 1);
  EXPECT_EQ(scheduler.StartNext(), 0U);
  EXPECT_EQ(scheduler.Finish(0, kGood), Verdict::kDone);
  EXPECT_EQ(scheduler.StartNext(), 1U);
  EXPECT_EQ(scheduler.restarts(1), 0);
}

TEST(SchedulerTest, GivesUpAfterTheLastRestart) {
  for (const int max_restarts : {0, 1, 3}) {
    Scheduler scheduler({false, false}, 1, max_restarts);
    for (int k = 0; k < max_restarts; ++k) {
      ASSERT_EQ(scheduler.StartNext(), 0U);
      ASSERT_EQ(scheduler.Finish(0, kKilled), Verdict::kRestart);
    }
    ASSERT_EQ(scheduler.StartNext(), 0U);
    EXPECT_EQ(scheduler.Finish(0, kKilled), Verdict::kFailed);
    EXPECT_TRUE(scheduler.is_over());
    EXPECT_EQ(scheduler.StartNext(), std::nullopt);
  }
}

TEST(SchedulerTest, NeverRestartsARunThatEndedByItself) {
  Scheduler scheduler({false, false}, 1, 5);
  EXPECT_EQ(scheduler.StartNext(), 0U);
  EXPECT_EQ(scheduler.Finish(0, kBad), Verdict::kFailed);
  EXPECT_TRUE(scheduler.is_over());
}

TEST(SchedulerTest, LetsRunningOnesEndAfterAStop) {
  Scheduler scheduler({false, false, false, false}, 3, 5);
  EXPECT_EQ(scheduler.StartNext(), 0U);
  EXPECT_EQ(scheduler.StartNext(), 1U);
  EXPECT_EQ(scheduler.StartNext(), 2U);
  scheduler.Stop();
  EXPECT_FALSE(scheduler.is_over());
  EXPECT_EQ(scheduler.Finish(0, kKilled), Verdict::kStopped);
  EXPECT_EQ(scheduler.Finish(1, {.code = 6, .signal = 0}), Verdict::kStopped);
  EXPECT_EQ(scheduler.Finish(2, kGood), Verdict::kDone);  // it was quicker than the stop
  EXPECT_TRUE(scheduler.is_over());
  EXPECT_EQ(scheduler.StartNext(), std::nullopt);
  EXPECT_EQ(scheduler.done_count(), 1U);
}

TEST(SchedulerTest, RefusesTheEndOfARunThatDoesNotRun) {
  Scheduler scheduler({false}, 1, 0);
  EXPECT_THROW(scheduler.Finish(0, kGood), CheckError);
  EXPECT_THROW(scheduler.Finish(1, kGood), CheckError);
}

// Any order of ends: never more runs than slots, every run finished exactly once, restarts within
// the limit.
TEST(SchedulerTest, FinishesEveryRunOnceWhateverTheOrder) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    const std::size_t runs = random() % 18;
    const int slots = static_cast<int>(1 + random() % 5);
    constexpr int kMaxRestarts = 1000;
    std::vector<bool> done(runs);
    for (std::size_t k = 0; k < runs; ++k) done[k] = random() % 4 == 0;
    std::vector<int> finished(runs, 0);
    for (std::size_t k = 0; k < runs; ++k) finished[k] = done[k] ? 1 : 0;
    Scheduler scheduler(done, slots, kMaxRestarts);
    std::vector<std::size_t> running;
    while (!scheduler.is_over()) {
      while (const auto next = scheduler.StartNext()) running.push_back(*next);
      ASSERT_FALSE(running.empty());
      ASSERT_LE(running.size(), static_cast<std::size_t>(slots));
      const std::size_t pick = random() % running.size();
      const std::size_t run = running[pick];
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(pick));
      const ProcessExit exit = random() % 3 == 0 ? kKilled : kGood;
      const Verdict verdict = scheduler.Finish(run, exit);
      ASSERT_EQ(verdict, exit == kGood ? Verdict::kDone : Verdict::kRestart);
      if (verdict == Verdict::kDone) ++finished[run];
    }
    EXPECT_TRUE(running.empty());
    EXPECT_EQ(finished, std::vector<int>(runs, 1));
    EXPECT_EQ(scheduler.done_count(), runs);
  }
}

}  // namespace
}  // namespace dcn::sweep
