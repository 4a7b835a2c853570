#include "launch/sweep/scheduler.h"

#include <chrono>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "common/check.h"

namespace dcn::sweep {
namespace {

using namespace std::chrono_literals;

constexpr Moment kStart = 100s;
constexpr Moment kLater = kStart + 1h;  // when no wait is left
constexpr ProcessExit kGood{};
constexpr ProcessExit kKilled{.code = 0, .signal = 9};

TEST(SchedulerTest, IsOverAtOnceWithoutRuns) {
  Scheduler scheduler({}, 1, 0);
  EXPECT_TRUE(scheduler.is_over());
  EXPECT_EQ(scheduler.StartNext(kStart), std::nullopt);
}

TEST(SchedulerTest, IsOverAtOnceWhenAllIsDone) {
  Scheduler scheduler({true, true}, 3, 0);
  EXPECT_TRUE(scheduler.is_over());
  EXPECT_EQ(scheduler.done_count(), 2U);
}

TEST(SchedulerTest, StartsInOrderAndSkipsWhatIsDone) {
  Scheduler scheduler({false, true, false, false}, 2, 0);
  EXPECT_EQ(scheduler.StartNext(kStart), 0U);
  EXPECT_EQ(scheduler.StartNext(kStart), 2U);
  EXPECT_EQ(scheduler.StartNext(kStart), std::nullopt);  // no slot
  EXPECT_EQ(scheduler.Finish(2, kGood, kStart), Verdict::kDone);
  EXPECT_EQ(scheduler.StartNext(kStart), 3U);
  EXPECT_EQ(scheduler.Finish(0, kGood, kStart), Verdict::kDone);
  EXPECT_EQ(scheduler.StartNext(kStart), std::nullopt);
  EXPECT_FALSE(scheduler.is_over());
  EXPECT_EQ(scheduler.Finish(3, kGood, kStart), Verdict::kDone);
  EXPECT_TRUE(scheduler.is_over());
  EXPECT_EQ(scheduler.done_count(), 4U);
}

TEST(SchedulerTest, RestartsALostRunBeforeAnyOther) {
  Scheduler scheduler({false, false}, 1, 2);
  EXPECT_EQ(scheduler.StartNext(kStart), 0U);
  EXPECT_EQ(scheduler.Finish(0, kKilled, kStart), Verdict::kRestart);
  EXPECT_EQ(scheduler.restarts(0), 1);
  EXPECT_EQ(scheduler.StartNext(kLater), 0U);
  EXPECT_EQ(scheduler.Finish(0, kGood, kLater), Verdict::kDone);
  EXPECT_EQ(scheduler.StartNext(kLater), 1U);
  EXPECT_EQ(scheduler.restarts(1), 0);
}

TEST(SchedulerTest, LetsOthersStartWhileALostRunWaits) {
  Scheduler scheduler({false, false, false}, 1, 2);
  EXPECT_EQ(scheduler.StartNext(kStart), 0U);
  EXPECT_EQ(scheduler.Finish(0, kKilled, kStart + 10s), Verdict::kRestart);
  EXPECT_EQ(scheduler.next_start(), kStart + 10s + 500ms);
  EXPECT_FALSE(scheduler.is_over());
  EXPECT_EQ(scheduler.StartNext(kStart + 10s + 499ms), 1U);
  EXPECT_EQ(scheduler.next_start(), std::nullopt);  // no slot
  EXPECT_EQ(scheduler.Finish(1, kGood, kStart + 10s + 500ms), Verdict::kDone);
  EXPECT_EQ(scheduler.StartNext(kStart + 10s + 500ms), 0U);
  EXPECT_EQ(scheduler.next_start(), std::nullopt);
  EXPECT_EQ(scheduler.Finish(0, kGood, kStart + 20s), Verdict::kDone);
  EXPECT_EQ(scheduler.StartNext(kStart + 20s), 2U);
}

TEST(SchedulerTest, IsNotOverWhileALostRunWaits) {
  Scheduler scheduler({false}, 1, 1);
  EXPECT_EQ(scheduler.StartNext(kStart), 0U);
  EXPECT_EQ(scheduler.Finish(0, kKilled, kStart), Verdict::kRestart);
  EXPECT_EQ(scheduler.StartNext(kStart + 499ms), std::nullopt);
  EXPECT_FALSE(scheduler.is_over());
  scheduler.Stop();
  EXPECT_TRUE(scheduler.is_over());
  EXPECT_EQ(scheduler.next_start(), std::nullopt);
  EXPECT_EQ(scheduler.StartNext(kLater), std::nullopt);
}

TEST(SchedulerTest, DoublesTheWaitUpToHalfAMinute) {
  const std::vector<std::chrono::milliseconds> delays = {500ms, 1s, 2s, 4s, 8s, 16s, 30s, 30s, 30s};
  Scheduler scheduler({false}, 1, 100);
  Moment now = kStart;
  for (std::size_t k = 0; k < delays.size(); ++k) {
    ASSERT_EQ(scheduler.StartNext(now), 0U);
    ASSERT_EQ(scheduler.Finish(0, kKilled, now), Verdict::kRestart);
    EXPECT_EQ(scheduler.restart_delay(0), delays[k]);
    EXPECT_EQ(scheduler.next_start(), now + delays[k]);
    EXPECT_EQ(RestartDelay(static_cast<int>(k) + 1), delays[k]);
    now += delays[k];
  }
  EXPECT_EQ(RestartDelay(1'000'000), 30s);
}

TEST(SchedulerTest, BeginsWithShortWaitsAgainAfterALongAttempt) {
  Scheduler scheduler({false}, 1, 100);
  Moment now = kStart;
  for (const auto& [attempt, delay] :
       std::vector<std::pair<Moment, Moment>>{{1s, 500ms}, {29s, 1s}, {30s, 500ms}, {0s, 1s}}) {
    ASSERT_EQ(scheduler.StartNext(now), 0U);
    now += attempt;
    ASSERT_EQ(scheduler.Finish(0, kKilled, now), Verdict::kRestart);
    EXPECT_EQ(scheduler.restart_delay(0), delay);
    now += delay;
  }
  EXPECT_EQ(scheduler.restarts(0), 4);  // all count
}

TEST(SchedulerTest, TakesBackARunThatCannotStartYet) {
  Scheduler scheduler({false, false}, 1, 0);
  EXPECT_EQ(scheduler.StartNext(kStart), 0U);
  scheduler.Postpone(0, kStart + 100ms);
  EXPECT_EQ(scheduler.running_count(), 0);
  EXPECT_EQ(scheduler.next_start(), kStart + 100ms);
  EXPECT_EQ(scheduler.StartNext(kStart), 1U);
  EXPECT_EQ(scheduler.Finish(1, kGood, kStart), Verdict::kDone);
  EXPECT_EQ(scheduler.StartNext(kStart + 100ms), 0U);
  EXPECT_EQ(scheduler.restarts(0), 0);
  EXPECT_THROW(scheduler.Postpone(1, kLater), CheckError);
}

TEST(SchedulerTest, GivesUpAfterTheLastRestart) {
  for (const int max_restarts : {0, 1, 3}) {
    Scheduler scheduler({false, false}, 1, max_restarts);
    Moment now = kStart;
    for (int k = 0; k < max_restarts; ++k) {
      ASSERT_EQ(scheduler.StartNext(now), 0U);
      ASSERT_EQ(scheduler.Finish(0, kKilled, now), Verdict::kRestart);
      now += scheduler.restart_delay(0);
    }
    ASSERT_EQ(scheduler.StartNext(now), 0U);
    EXPECT_EQ(scheduler.Finish(0, kKilled, now), Verdict::kFailed);
    EXPECT_TRUE(scheduler.is_over());
    EXPECT_EQ(scheduler.StartNext(kLater), std::nullopt);
  }
}

TEST(SchedulerTest, NeverRestartsWhatWouldFailAgain) {
  for (int code = 1; code < 256; ++code) {
    Scheduler scheduler({false, false}, 1, 5);
    EXPECT_EQ(scheduler.StartNext(kStart), 0U);
    const ProcessExit exit{.code = code, .signal = 0};
    const bool may_pass = MayPass(exit);
    EXPECT_EQ(scheduler.Finish(0, exit, kStart), may_pass ? Verdict::kRestart : Verdict::kFailed);
    EXPECT_EQ(scheduler.is_over(), !may_pass);
  }
}

TEST(SchedulerTest, LetsRunningOnesEndAfterAStop) {
  Scheduler scheduler({false, false, false, false}, 3, 5);
  EXPECT_EQ(scheduler.StartNext(kStart), 0U);
  EXPECT_EQ(scheduler.StartNext(kStart), 1U);
  EXPECT_EQ(scheduler.StartNext(kStart), 2U);
  scheduler.Stop();
  EXPECT_FALSE(scheduler.is_over());
  EXPECT_EQ(scheduler.Finish(0, kKilled, kStart), Verdict::kStopped);
  EXPECT_EQ(scheduler.Finish(1, {.code = 6, .signal = 0}, kStart), Verdict::kStopped);
  EXPECT_EQ(scheduler.Finish(2, kGood, kStart), Verdict::kDone);  // it was quicker than the stop
  EXPECT_TRUE(scheduler.is_over());
  EXPECT_EQ(scheduler.StartNext(kStart), std::nullopt);
  EXPECT_EQ(scheduler.done_count(), 1U);
}

TEST(SchedulerTest, RefusesTheEndOfARunThatDoesNotRun) {
  Scheduler scheduler({false}, 1, 0);
  EXPECT_THROW(scheduler.Finish(0, kGood, kStart), CheckError);
  EXPECT_THROW(scheduler.Finish(1, kGood, kStart), CheckError);
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
    Moment now = kStart;
    while (!scheduler.is_over()) {
      while (const auto next = scheduler.StartNext(now)) running.push_back(*next);
      if (running.empty()) {  // all wait
        const auto next = scheduler.next_start();
        ASSERT_TRUE(next && *next > now);
        now = *next;
        continue;
      }
      ASSERT_LE(running.size(), static_cast<std::size_t>(slots));
      const std::size_t pick = random() % running.size();
      const std::size_t run = running[pick];
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(pick));
      const ProcessExit exit = random() % 3 == 0 ? kKilled : kGood;
      const Verdict verdict = scheduler.Finish(run, exit, now);
      now += std::chrono::milliseconds(random() % 2000);
      ASSERT_EQ(verdict, exit == kGood ? Verdict::kDone : Verdict::kRestart);
      if (verdict == Verdict::kDone) ++finished[run];
    }
    EXPECT_TRUE(running.empty());
    EXPECT_EQ(finished, std::vector<int>(runs, 1));
    EXPECT_EQ(scheduler.done_count(), runs);
  }
}

TEST(SchedulerTest, KnowsWhetherOthersAreLeft) {
  Scheduler scheduler({false, false, false}, 3, 1);
  ASSERT_EQ(scheduler.StartNext(kStart), 0U);
  EXPECT_TRUE(scheduler.has_others());  // 1 and 2 were not tried
  scheduler.Postpone(0, kStart, false);
  ASSERT_EQ(scheduler.StartNext(kStart), 0U);
  ASSERT_EQ(scheduler.StartNext(kStart), 1U);
  ASSERT_EQ(scheduler.StartNext(kStart), 2U);
  EXPECT_TRUE(scheduler.has_others());  // they run
  scheduler.Postpone(1, kStart + 10s);
  scheduler.Postpone(2, kStart + 10s, false);
  EXPECT_TRUE(scheduler.has_others());  // 1 may start
  EXPECT_EQ(scheduler.StartNext(kStart + 10s), 1U);
  scheduler.Postpone(1, kStart + 20s, false);
  EXPECT_FALSE(scheduler.has_others());
}

}  // namespace
}  // namespace dcn::sweep
