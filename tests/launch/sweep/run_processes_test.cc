#include "launch/sweep/run_processes.h"

#include <chrono>
#include <csignal>
#include <optional>
#include <string>
#include <sys/stat.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/file/lock_file.h"
#include "launch/sweep/child_process.h"
#include "tests/testing/temporary_folder.h"
#include "worker/export/step_file.h"

namespace dcn::sweep {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

/// Two runs of a "worker" that is a shell script.
class RunProcessesTest : public ::testing::Test {
 protected:
  void WriteWorker(const std::string& script) {
    testing::WriteText(command_.program, "#!/bin/sh\n" + script + "\n");
    ASSERT_EQ(::chmod(command_.program.c_str(), 0700), 0);
  }

  RunProcesses::Ended WaitForEnd(RunProcesses& processes) {
    while (true) {
      if (const auto ended = processes.TakeEnded()) return *ended;
      EXPECT_EQ(signals_.Wait(60s), SIGCHLD);
    }
  }

  const testing::TemporaryFolder folder_;
  const BlockedSignals signals_;
  const std::vector<PlannedRun> runs_ = {{"dcn", 1, folder_.path() / "a", "seed = 1\n"},
                                         {"dcn", 2, folder_.path() / "b", "seed = 2\n"}};
  const WorkerCommand command_{folder_.path() / "worker", "data", "cache", 1};
};

TEST_F(RunProcessesTest, StartsRunsAndTellsOfTheirEnds) {
  WriteWorker("echo \"$*\"; exit 3");
  RunProcesses processes(runs_, command_);
  EXPECT_EQ(processes.TakeEnded(), std::nullopt);
  ASSERT_TRUE(processes.Start(1, false, 0, "").ok());
  ASSERT_EQ(processes.running().size(), 1U);
  EXPECT_EQ(processes.running()[0].run, 1U);
  const RunProcesses::Ended ended = WaitForEnd(processes);
  EXPECT_EQ(ended.run, 1U);
  EXPECT_EQ(ended.exit, (ProcessExit{.code = 3, .signal = 0}));
  EXPECT_TRUE(processes.running().empty());
  EXPECT_THAT(testing::ReadText(runs_[1].log_file()), HasSubstr("\n--config "));
  EXPECT_EQ(testing::ReadText(runs_[1].config_file()), "seed = 2\n");
}

TEST_F(RunProcessesTest, DoesNotStartARunBesideWhatIsLeftOfIt) {
  WriteWorker("sleep 600 & echo $! >\"${0%/*}/left\"");
  RunProcesses processes(runs_, command_);
  const Result<pid_t> first = processes.Start(0, false, 0, "");
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(WaitForEnd(processes).exit, ProcessExit{});
  const Result<pid_t> second = processes.Start(0, true, 0, "");
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(second.status().message(), "process " + std::to_string(*first));
  EXPECT_EQ(processes.AwaitRelease(0, 1ms).code(), StatusCode::kUnavailable);
  EXPECT_TRUE(processes.AwaitRelease(1, 1ms).code() != StatusCode::kUnavailable);
  ASSERT_EQ(::kill(std::stoi(testing::ReadText(folder_.path() / "left")), SIGKILL), 0);
  EXPECT_TRUE(processes.AwaitRelease(0, 60s).ok());
}

TEST_F(RunProcessesTest, KillsARunThatTakesNoStepsAnyMore) {
  // Both are stopped; what they have told makes the difference.
  WriteWorker("kill -STOP $$");
  const StepFiles files(folder_.path());
  WorkerCommand command = command_;
  command.stall_timeout = 1s;
  RunProcesses processes(runs_, command);
  for (const std::size_t run : {0U, 1U}) {
    ASSERT_TRUE(MakeRunFolder(runs_[run]).ok());
    ASSERT_TRUE(files.Renew(runs_[run]).ok());
    ASSERT_TRUE(processes.Start(run, false, 0, files.Prefix(runs_[run])).ok());
  }
  Result<output::StepFile> steps = output::StepFile::Open(files.File(runs_[1], 0));
  ASSERT_TRUE(steps.ok());
  steps->BeginSteps(0);
  std::optional<RunProcesses::Ended> ended;
  const Stopwatch watch;
  while (!ended && watch.seconds() < 60) {
    processes.KillStalled(files);
    signals_.Wait(100ms);
    ended = processes.TakeEnded();
  }
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->run, 1U);
  EXPECT_TRUE(ended->is_stalled);
  EXPECT_EQ(ended->exit.signal, SIGKILL);
  EXPECT_GE(ended->seconds, .9);
  EXPECT_EQ(processes.running().size(), 1U);
}

TEST_F(RunProcessesTest, ContinuesALogOrBeginsAnew) {
  WriteWorker("echo worked");
  RunProcesses processes(runs_, command_);
  std::vector<std::size_t> sizes;
  for (const bool is_continued : {false, true, false}) {
    ASSERT_TRUE(processes.Start(0, is_continued, 0, "").ok());
    WaitForEnd(processes);
    sizes.push_back(testing::ReadText(runs_[0].log_file()).size());
  }
  EXPECT_EQ(sizes[1], 2 * sizes[0]);
  EXPECT_EQ(sizes[2], sizes[0]);
}

TEST_F(RunProcessesTest, EndsWhatRuns) {
  WriteWorker("exec sleep 600");
  {
    RunProcesses processes(runs_, command_);
    ASSERT_TRUE(processes.Start(0, false, 0, "").ok());
    ASSERT_TRUE(processes.Start(1, false, 0, "").ok());
    processes.AskToEnd();
    EXPECT_EQ(WaitForEnd(processes).exit.signal, SIGTERM);
    EXPECT_EQ(WaitForEnd(processes).exit.signal, SIGTERM);
    ASSERT_TRUE(processes.Start(0, false, 0, "").ok());
    processes.Kill();
    EXPECT_EQ(WaitForEnd(processes).exit.signal, SIGKILL);
    ASSERT_TRUE(processes.Start(0, false, 0, "").ok());
  }
  EXPECT_TRUE(LockFile(runs_[0].lock_file(), 60s).ok());
}

}  // namespace
}  // namespace dcn::sweep
