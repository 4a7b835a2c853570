#include "launch/sweep/sweep_chronicle.h"

#include <chrono>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/launch/fixture_sweep.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::sweep {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

class SweepChronicleTest : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(runs_[0].folder); }

  Journal Open() {
    Result<Journal> journal = Journal::Open(file_);
    EXPECT_TRUE(journal.ok()) << journal.status().ToString();
    return *std::move(journal);
  }

  /// Of an attempt, as its step file tells them.
  static AttemptSteps Steps(std::uint64_t resumed_from, std::uint64_t last) {
    return {.resumed_from = resumed_from, .last = last, .is_exact = true};
  }

  /// The same, with its first step as long after now.
  static AttemptSteps StepsAfter(std::chrono::milliseconds wait, std::uint64_t resumed_from,
                                 std::uint64_t last) {
    AttemptSteps steps = Steps(resumed_from, last);
    steps.first_step_at = std::chrono::steady_clock::now() + wait;
    return steps;
  }

  static SweepChronicle::Restart Restart(int restarts = 1) {
    return {
        .reason = "ended with exit code 4", .restarts = restarts, .seconds = 3.25, .wait = 500ms};
  }

  json LastEntry() const {
    const Result<JournalText> journal = ParseJournal(testing::ReadText(file_), file_);
    EXPECT_TRUE(journal.ok() && !journal->entries.empty());
    return journal->entries.back();
  }

  const testing::TemporaryFolder folder_;
  const std::filesystem::path file_ = folder_.path() / "journal.jsonl";
  const std::vector<PlannedRun> runs_ = {{"full", 2, folder_.path() / "full" / "seed-2", ""}};
};

TEST_F(SweepChronicleTest, TellsWhatARestartCost) {
  Journal journal = Open();
  SweepChronicle chronicle(runs_, journal);
  ASSERT_TRUE(chronicle.TakeStarted(0, 77).ok());
  EXPECT_EQ(LastEntry().at("process"), 77);
  EXPECT_FALSE(chronicle.is_continued(0));
  ASSERT_TRUE(chronicle.TakeRestarted(0, Restart(), StepsAfter(0ms, 0, 57)).ok());
  const json lost = LastEntry();
  EXPECT_EQ(lost.at("event"), "restarted");
  EXPECT_EQ(lost.at("variant"), "full");
  EXPECT_EQ(lost.at("seed"), 2);
  EXPECT_EQ(lost.at("reason"), "ended with exit code 4");
  EXPECT_EQ(lost.at("restarts"), 1);
  EXPECT_EQ(lost.at("seconds"), 3.25);
  EXPECT_EQ(lost.at("wait_seconds"), .5);
  EXPECT_EQ(lost.at("last_step"), 57);
  EXPECT_FALSE(lost.contains("steps_repeated"));
  EXPECT_FALSE(lost.contains("restart_seconds"));
  EXPECT_TRUE(chronicle.is_continued(0));
  const AttemptSteps steps = StepsAfter(1s, 40, 100);
  ASSERT_TRUE(chronicle.TakeFinished(0, testing::FixtureResult("full", 2), 5, steps).ok());
  EXPECT_EQ(LastEntry().at("event"), "finished");
  EXPECT_EQ(LastEntry().at("resumed_from_step"), 40);
  EXPECT_EQ(LastEntry().at("steps_repeated"), 17);
  // From the loss, which was a moment before.
  EXPECT_GE(LastEntry().at("restart_seconds"), 1);
  EXPECT_LT(LastEntry().at("restart_seconds"), 60);
}

TEST_F(SweepChronicleTest, SaysNothingOfStepsInAnUndisturbedRun) {
  Journal journal = Open();
  SweepChronicle chronicle(runs_, journal);
  ASSERT_TRUE(chronicle.TakeStarted(0, 77).ok());
  ASSERT_TRUE(
      chronicle.TakeFinished(0, testing::FixtureResult("full", 2), 5, StepsAfter(0ms, 0, 100))
          .ok());
  for (const char* const field : {"resumed_from_step", "steps_repeated", "restart_seconds"}) {
    EXPECT_FALSE(LastEntry().contains(field)) << field;
  }
}

TEST_F(SweepChronicleTest, SaysWhatIsNotKnownExactly) {
  Journal journal = Open();
  SweepChronicle chronicle(runs_, journal);
  const AttemptSteps of_log = {.resumed_from = 0, .last = 57};
  ASSERT_TRUE(chronicle.TakeRestarted(0, Restart(), of_log).ok());
  EXPECT_TRUE(LastEntry().at("last_step").is_null());
  EXPECT_EQ(LastEntry().at("last_step_at_least"), 57);
  ASSERT_TRUE(chronicle.TakeRestarted(0, Restart(2), Steps(40, 45)).ok());
  EXPECT_TRUE(LastEntry().at("steps_repeated").is_null());
  EXPECT_EQ(LastEntry().at("steps_repeated_at_least"), 17);
  EXPECT_EQ(LastEntry().at("last_step"), 45);
  EXPECT_FALSE(LastEntry().contains("restart_seconds"));
  // One of which nothing is known.
  ASSERT_TRUE(chronicle.TakeRestarted(0, Restart(3), {}).ok());
  EXPECT_TRUE(LastEntry().at("last_step").is_null());
  for (const char* const field :
       {"last_step_at_least", "resumed_from_step", "steps_repeated", "restart_seconds"}) {
    EXPECT_FALSE(LastEntry().contains(field)) << field;
  }
  ASSERT_TRUE(chronicle.TakeStopped(0, "ended with exit code 6", Steps(40, 47)).ok());
  EXPECT_TRUE(LastEntry().at("steps_repeated").is_null());
  EXPECT_EQ(LastEntry().at("steps_repeated_at_least"), 5);
  EXPECT_EQ(LastEntry().at("last_step"), 47);
}

TEST_F(SweepChronicleTest, KnowsThatAnAttemptTookNoStep) {
  Journal journal = Open();
  SweepChronicle chronicle(runs_, journal);
  ASSERT_TRUE(chronicle.TakeRestarted(0, Restart(), Steps(0, 57)).ok());
  ASSERT_TRUE(chronicle.TakeRestarted(0, Restart(2), {.is_exact = true}).ok());
  EXPECT_FALSE(LastEntry().contains("last_step"));
  EXPECT_FALSE(LastEntry().contains("steps_repeated"));
  ASSERT_TRUE(chronicle.TakeFinished(0, testing::FixtureResult("full", 2), 5, Steps(40, 100)).ok());
  EXPECT_EQ(LastEntry().at("steps_repeated"), 17);
}

TEST_F(SweepChronicleTest, BelievesTheResultMoreThanTheSteps) {
  Journal journal = Open();
  SweepChronicle chronicle(runs_, journal);
  ASSERT_TRUE(chronicle.TakeRestarted(0, Restart(), Steps(0, 57)).ok());
  testing::WriteText(runs_[0].result_file(), R"({"resumed_from_step": 50})");
  ASSERT_TRUE(chronicle.TakeFinished(0, testing::FixtureResult("full", 2), 5, {}).ok());
  EXPECT_EQ(LastEntry().at("resumed_from_step"), 50);
  EXPECT_EQ(LastEntry().at("steps_repeated"), 7);
}

TEST_F(SweepChronicleTest, GoesOnFromTheJournalOfAKilledStart) {
  {
    Journal journal = Open();
    SweepChronicle chronicle(runs_, journal);
    ASSERT_TRUE(chronicle.TakeUnfinished(0, {}).ok());
    EXPECT_FALSE(chronicle.is_continued(0));
    ASSERT_TRUE(chronicle.TakeStarted(0, 77).ok());
  }
  {
    Journal journal = Open();
    SweepChronicle chronicle(runs_, journal);
    const std::vector<AttemptSteps> left = {Steps(0, 50), Steps(40, 57)};
    ASSERT_TRUE(chronicle.TakeUnfinished(0, left).ok());
    EXPECT_EQ(LastEntry().at("event"), "lost");
    EXPECT_EQ(LastEntry().at("last_step"), 57);
    EXPECT_TRUE(chronicle.is_continued(0));
    ASSERT_TRUE(chronicle.TakeUnfinished(0, left).ok());  // at its next start
  }
  Journal journal = Open();
  SweepChronicle chronicle(runs_, journal);  // killed before it came to start the run
  ASSERT_TRUE(chronicle.TakeUnfinished(0, {}).ok());
  EXPECT_EQ(journal.earlier_entries().size(), 2U);
  EXPECT_TRUE(chronicle.is_continued(0));
  ASSERT_TRUE(chronicle.TakeStopped(0, "ended with exit code 6", StepsAfter(1s, 40, 80)).ok());
  EXPECT_EQ(LastEntry().at("steps_repeated"), 17);
  EXPECT_EQ(LastEntry().at("last_step"), 80);
}

TEST_F(SweepChronicleTest, MeasuresALostSweepsRestartFromItsNewStart) {
  {
    Journal journal = Open();
    SweepChronicle chronicle(runs_, journal);
    ASSERT_TRUE(chronicle.TakeStarted(0, 77).ok());
  }
  Journal journal = Open();
  SweepChronicle chronicle(runs_, journal);
  ASSERT_TRUE(chronicle.TakeUnfinished(0, std::vector{Steps(0, 57)}).ok());
  EXPECT_FALSE(LastEntry().contains("restart_seconds"));
  const AttemptSteps steps = StepsAfter(2s, 40, 100);
  ASSERT_TRUE(chronicle.TakeFinished(0, testing::FixtureResult("full", 2), 5, steps).ok());
  EXPECT_GE(LastEntry().at("restart_seconds"), 2);
  EXPECT_LT(LastEntry().at("restart_seconds"), 60);
}

TEST_F(SweepChronicleTest, AStartThatCouldNotBeIsNoAttempt) {
  Journal journal = Open();
  SweepChronicle chronicle(runs_, journal);
  ASSERT_TRUE(chronicle.TakeNoStart(0, "could not be started: no room", 500ms).ok());
  EXPECT_EQ(LastEntry().at("event"), "not started");
  EXPECT_EQ(LastEntry().at("reason"), "could not be started: no room");
  EXPECT_EQ(LastEntry().at("wait_seconds"), .5);
  EXPECT_FALSE(chronicle.is_continued(0));
  ASSERT_TRUE(chronicle.TakeRestarted(0, Restart(), Steps(0, 57)).ok());
  ASSERT_TRUE(chronicle.TakeNoStart(0, "could not be started: no room", 500ms).ok());
  const AttemptSteps steps = StepsAfter(2s, 40, 100);
  ASSERT_TRUE(chronicle.TakeFinished(0, testing::FixtureResult("full", 2), 5, steps).ok());
  EXPECT_EQ(LastEntry().at("steps_repeated"), 17);
  EXPECT_GE(LastEntry().at("restart_seconds"), 1);  // from the loss
}

TEST_F(SweepChronicleTest, GoesOnWithARunThatHadFailed) {
  {
    Journal journal = Open();
    SweepChronicle chronicle(runs_, journal);
    ASSERT_TRUE(chronicle.TakeFailed(0, "ended with exit code 2", 2, "  sorry", Steps(0, 3)).ok());
    EXPECT_EQ(LastEntry().at("exit_code"), 2);
    EXPECT_EQ(LastEntry().at("log_tail"), "  sorry");
    EXPECT_EQ(LastEntry().at("last_step"), 3);
  }
  Journal journal = Open();
  SweepChronicle chronicle(runs_, journal);
  ASSERT_TRUE(chronicle.TakeUnfinished(0, {}).ok());
  EXPECT_TRUE(chronicle.is_continued(0));
}

}  // namespace
}  // namespace dcn::sweep
