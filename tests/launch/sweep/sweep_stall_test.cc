// dcn_sweep over fake workers that tell their steps and then stop (SIGSTOP): they are there, and
// take no steps any more. What the journal makes of the steps that they told, and where nobody
// could tell them.

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/file/lock_file.h"
#include "launch/sweep/step_files.h"
#include "tests/launch/sweep/fake_sweep.h"
#include "tests/testing/traced_command.h"

namespace dcn::sweep {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

class SweepStallTest : public FakeSweep {
 protected:
  /// The arguments of dcn_sweep for one run with checkpoints, of the variant "full".
  std::vector<std::string> OneRun(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments =
        Arguments({"--variants", "full", "--seeds", "1", "--checkpoint-every", "20"});
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  std::string Log() const { return ReadText(Run("full", 1) / "log.txt"); }

  /// Of the run's attempt 0.
  fs::path StepFile() const {
    return StepFiles("/dev/shm").File({"full", 1, Run("full", 1), ""}, 0);
  }

  /// That the first attempt took 57 steps, and the second one went on from 40 to the end.
  void ExpectOneRestartOfAStalledRun(const CommandResult& result) const {
    EXPECT_EQ(result.exit_code, 0) << result.err << Log();
    EXPECT_THAT(result.out, HasSubstr("took no step any more (--stall-timeout) and was ended; "
                                      "starting it again in 0.5 s (1 of 3)"));
    const std::vector<json> restarted = Entries("restarted");
    ASSERT_EQ(restarted.size(), 1U);
    EXPECT_THAT(restarted[0].at("reason"), HasSubstr("took no step any more"));
    EXPECT_EQ(restarted[0].at("last_step"), 57);
    EXPECT_GE(restarted[0].at("seconds"), 1.9);  // --stall-timeout 2
    const std::vector<json> finished = Entries("finished");
    ASSERT_EQ(finished.size(), 1U);
    EXPECT_EQ(finished[0].at("resumed_from_step"), 40);
    EXPECT_EQ(finished[0].at("steps_repeated"), 17);
    EXPECT_GE(finished[0].at("restart_seconds"), .4);  // .5 s of them waiting
    EXPECT_TRUE(LockFile(Run("full", 1) / ".lock").ok()) << "something of it lives";
    EXPECT_FALSE(fs::exists(StepFile()));
  }
};

TEST_F(SweepStallTest, AStoppedWorkerIsReplaced) {
  WriteExperiment("behaviour = 'stalled'\n");
  ExpectOneRestartOfAStalledRun(RunCommand(OneRun({"--stall-timeout", "2"})));
}

TEST_F(SweepStallTest, WorkersOfAScriptThatTakeNoStepAreReplaced) {
  const fs::path worker = folder_.path() / "bin" / "dcn_worker";
  fs::create_directories(worker.parent_path());
  fs::create_symlink(std::getenv("DCN_FAKE_WORKER"), worker);
  WriteExperiment("behaviour = 'stalled'\n");
  ExpectOneRestartOfAStalledRun(
      RunCommand(OneRun({"--stall-timeout", "2", "--worker", worker, "--workers", "2"})));
  EXPECT_THAT(Log(), HasSubstr("\nthe workers took no step for 2 s (--stall-timeout)"));
  EXPECT_EQ(Events("started"), 1U);  // the script goes on
}

TEST_F(SweepStallTest, ARunThatStallsTooOftenFails) {
  WriteExperiment("behaviour = 'stalled'\ntimes = 100\n");
  const CommandResult result = RunCommand(OneRun({"--stall-timeout", "1", "--max-restarts", "1"}));
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(Events("restarted"), 1U);
  EXPECT_EQ(Events("failed"), 1U);
  EXPECT_THAT(result.err, HasSubstr("full seed 1 took no step any more (--stall-timeout)"));
  EXPECT_FALSE(fs::exists(StepFile()));
}

TEST_F(SweepStallTest, AKilledSweepsNextStartKnowsHowFarItHadCome) {
  WriteExperiment("behaviour = 'stalled'\n");
  RunningCommand sweep(OneRun({"--stall-timeout", "0"}), folder_.path() / "err.txt");
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  const StepFiles files("/dev/shm");
  while (files.Read({"full", 1, Run("full", 1), ""}, 0, {}).last != 57) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    std::this_thread::sleep_for(20ms);
  }
  AwaitEvents("started", 1);  // on a slow disk it comes later than the worker's steps
  sweep.Signal(SIGKILL);
  EXPECT_EQ(sweep.Wait().signal, SIGKILL);
  const CommandResult second = RunCommand(OneRun({}));
  EXPECT_EQ(second.exit_code, 0) << second.err << Log();
  ASSERT_EQ(Events("lost"), 1U);
  EXPECT_EQ(Entries("lost")[0].at("last_step"), 57);
  const json finished = Entries("finished").at(0);
  EXPECT_EQ(finished.at("steps_repeated"), 17);
  EXPECT_GE(finished.at("restart_seconds"), 0);
  EXPECT_FALSE(fs::exists(StepFile()));
}

TEST_F(SweepStallTest, SaysSoWhereNobodyTellsTheSteps) {
  DCN_SKIP_WITHOUT_TRACING();
  WriteExperiment("behaviour = 'lost'\ncode = 4\n");
  const CommandResult result = RunCommand(
      testing::CommandFailingAt({.name = "openat", .path = StepFile()}, "ENOSPC", OneRun({})));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const std::string named = "what a loss costs will not be known exactly";
  const std::string why = ": cannot make " + StepFile().string() + ": No space left on device\n";
  EXPECT_THAT(result.out, HasSubstr(named));
  EXPECT_THAT(result.out, HasSubstr(why));
  EXPECT_EQ(result.out.find(named), result.out.rfind(named));  // once, though it started twice
  EXPECT_THAT(Log(), Not(HasSubstr("--step-file")));
  const json restarted = Entries("restarted").at(0);
  EXPECT_TRUE(restarted.at("last_step").is_null());
  EXPECT_EQ(restarted.at("last_step_at_least"), 57);
  const json finished = Entries("finished").at(0);
  EXPECT_EQ(finished.at("resumed_from_step"), 40);
  EXPECT_TRUE(finished.at("steps_repeated").is_null());
  EXPECT_EQ(finished.at("steps_repeated_at_least"), 17);
  EXPECT_FALSE(finished.contains("restart_seconds"));
}

}  // namespace
}  // namespace dcn::sweep
