#include "launch/sweep/run_log.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/testing/temporary_folder.h"

namespace dcn::sweep {
namespace {

using namespace std::chrono_literals;
using Restart = ScriptRestart;

constexpr const char* kLost =
    "workers ended with exit code 137; starting them again in 0.5 s (1 of 3)";

TEST(ParseScriptRestartTest, TakesWhatTheScriptSays) {
  EXPECT_EQ(ParseScriptRestart(kLost), (Restart{137, 500ms}));
  EXPECT_EQ(
      ParseScriptRestart("workers ended with exit code 4; starting them again in 30 s (12 of 999)"),
      (Restart{4, 30'000ms}));
}

TEST(ParseScriptRestartTest, TakesNothingElse) {
  for (const char* const line :
       {"", "workers ended with exit code 4", "workers ended with exit code x; starting them again",
        " workers ended with exit code 4; starting them again in 1 s (1 of 3)",
        "workers ended with exit code 4; starting them again in a while",
        "workers ended with exit code 4; starting them again in 1",
        "server 0 at 127.0.0.1:1 ended with exit code 137; it starts again"}) {
    EXPECT_FALSE(ParseScriptRestart(line)) << line;
  }
}

class RunLogTest : public ::testing::Test {
 protected:
  void Add(const std::string& text) {
    text_ += text;
    testing::WriteText(file_, text_);
  }

  const testing::TemporaryFolder folder_;
  const std::filesystem::path file_ = folder_.path() / "log.txt";
  std::string text_;
};

TEST_F(RunLogTest, TellsOfEachLossOnceWithTheStepsOfItsAttempt) {
  RunLog log(file_, 0);
  EXPECT_TRUE(log.TakeLosses().empty());  // not there yet
  Add("$ train.sh\nepoch 1  step 44/50\n");
  EXPECT_TRUE(log.TakeLosses().empty());
  Add(std::string(kLost) + "\nresumed from step 40 of checkpoint x\n");
  std::vector<RunLog::Loss> losses = log.TakeLosses();
  ASSERT_EQ(losses.size(), 1U);
  EXPECT_EQ(losses[0].restart, (Restart{137, 500ms}));
  EXPECT_EQ(losses[0].steps, (AttemptSteps{0, 44}));
  Add("epoch 1  step 42/50\n" + std::string(kLost) + "\n" + kLost + "\n");
  losses = log.TakeLosses();
  ASSERT_EQ(losses.size(), 2U);
  EXPECT_EQ(losses[0].steps, (AttemptSteps{40, 42}));
  EXPECT_EQ(losses[1].steps, AttemptSteps{});
  EXPECT_TRUE(log.TakeLosses().empty());
}

TEST_F(RunLogTest, TellsWhereTheScriptEndedWorkersThatTookNoStep) {
  RunLog log(file_, 0);
  Add("$ train.sh\nthe workers took no step for 300 s (--stall-timeout): they are ended\n" +
      std::string(kLost) + "\nepoch 1  step 42/50\n" + kLost + "\n");
  const std::vector<RunLog::Loss> losses = log.TakeLosses();
  ASSERT_EQ(losses.size(), 2U);
  EXPECT_TRUE(losses[0].is_stalled);
  EXPECT_FALSE(losses[1].is_stalled);
}

TEST_F(RunLogTest, RemembersTheBeginningAndTheEndOfALongAttempt) {
  RunLog log(file_, 0);
  std::string lines = "resumed from step 40 of checkpoint x\n";
  for (int step = 41; step <= 40'000; ++step) {
    lines += "epoch 1  step " + std::to_string(step) + "/50000  loss 1.2345\n";
  }
  ASSERT_GT(lines.size(), std::size_t{1} << 20);  // more than is read, or kept, at a time
  Add(lines + kLost + "\n");
  const std::vector<RunLog::Loss> losses = log.TakeLosses();
  ASSERT_EQ(losses.size(), 1U);
  EXPECT_EQ(losses[0].steps, (AttemptSteps{40, 40'000}));
}

TEST_F(RunLogTest, PassesOverALineWithoutEnd) {
  RunLog log(file_, 0);
  Add(std::string((std::size_t{2} << 20) + 5, 'x'));
  EXPECT_TRUE(log.TakeLosses().empty());
  Add("\n" + std::string(kLost) + "\n");
  EXPECT_EQ(log.TakeLosses().size(), 1U);
}

TEST_F(RunLogTest, WaitsForTheEndOfALine) {
  RunLog log(file_, 0);
  const std::string line = kLost;
  Add(line.substr(0, 40));
  EXPECT_TRUE(log.TakeLosses().empty());
  Add(line.substr(40));
  EXPECT_TRUE(log.TakeLosses().empty());
  Add("\n");
  EXPECT_EQ(log.TakeLosses().size(), 1U);
}

TEST_F(RunLogTest, LeavesOutWhatIsOfEarlierStarts) {
  Add(std::string(kLost) + "\n");
  RunLog log(file_, text_.size());
  EXPECT_TRUE(log.TakeLosses().empty());
  Add(std::string(kLost) + "\n");
  EXPECT_EQ(log.TakeLosses().size(), 1U);
}

}  // namespace
}  // namespace dcn::sweep
