// dcn_sweep over fake workers that are lost, and dcn_sweep itself being lost: what starts again,
// and that nothing is left of what was before.

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/file/lock_file.h"
#include "tests/launch/sweep/fake_sweep.h"
#include "tests/testing/traced_command.h"

namespace dcn::sweep {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

using SweepRestartTest = FakeSweep;

TEST_F(SweepRestartTest, StartsARunAgainThatLostAPeerTwice) {
  WriteExperiment("behaviour = 'lost'\ncode = 4\ntimes = 2\nonly-seed = 2\n");
  const CommandResult result = Sweep();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(Events("started"), 8U);
  const std::vector<json> restarted = Entries("restarted");
  ASSERT_EQ(restarted.size(), 4U);
  for (const json& entry : restarted) {
    EXPECT_EQ(entry.at("seed"), 2);
    EXPECT_EQ(entry.at("reason"), "ended with exit code 4");
    EXPECT_EQ(entry.at("wait_seconds"), entry.at("restarts") == 1 ? .5 : 1.);
    EXPECT_GE(entry.at("seconds"), 0);
    EXPECT_EQ(entry.at("last_step"), 57);
  }
  EXPECT_THAT(result.out, HasSubstr("full seed 2 ended with exit code 4; starting it again in 0.5 "
                                    "s (1 of 3)"));
  EXPECT_THAT(result.out, HasSubstr("in 1 s (2 of 3)"));
  // All starts are in the log. Without checkpoints they began at the beginning.
  const std::string log = ReadText(Run("full", 2) / "log.txt");
  EXPECT_NE(log.find("$ "), log.rfind("$ "));
  EXPECT_THAT(log, Not(HasSubstr("checkpoint")));
  for (const json& entry : Entries("finished")) {
    if (entry.at("seed") == 1) continue;
    EXPECT_EQ(entry.at("resumed_from_step"), 0);
    EXPECT_EQ(entry.at("steps_repeated"), 57);
  }
}

TEST_F(SweepRestartTest, StartsARunAgainThatASignalKilled) {
  for (const char* const end : {"signal = 9", "signal = 6", "code = 137"}) {
    fs::remove_all(output_);
    WriteExperiment(std::string("behaviour = 'lost'\n") + end + "\n");
    const CommandResult result = Sweep({"--variants", "full"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(Events("restarted"), 2U) << end;
    EXPECT_THAT(result.out, HasSubstr("killed by signal "));
  }
}

TEST_F(SweepRestartTest, NeverStartsARunAgainThatWouldFailAgain) {
  for (const int code : {1, 2, 3, 5, 6, 127, 255}) {
    fs::remove_all(output_);
    WriteExperiment("behaviour = 'lost'\ncode = " + std::to_string(code) + "\n");
    EXPECT_EQ(Sweep({"--slots", "1"}).exit_code, code);
    EXPECT_EQ(Events("started"), 1U) << code;
    EXPECT_EQ(Events("restarted"), 0U) << code;
  }
}

TEST_F(SweepRestartTest, GivesUpOnARunThatIsLostTooOften) {
  WriteExperiment("behaviour = 'lost'\nsignal = 9\ntimes = 100\n");
  const CommandResult result = Sweep({"--slots", "1", "--max-restarts", "1"});
  EXPECT_EQ(result.exit_code, 1);
  // The other runs did not wait for it: all were lost once.
  EXPECT_EQ(Entries("failed").size(), 1U);
  EXPECT_GE(Events("restarted"), 1U);
  EXPECT_THAT(result.err, HasSubstr(" was killed by signal 9"));
  const std::size_t started = Events("started");
  EXPECT_EQ(Sweep({"--slots", "1", "--max-restarts", "0"}).exit_code, 1);
  EXPECT_EQ(Events("started"), started + 1);
}

TEST_F(SweepRestartTest, EndsWithFourWhereAPeerIsLostForGood) {
  WriteExperiment("behaviour = 'lost'\ncode = 4\ntimes = 100\n");
  EXPECT_EQ(Sweep({"--variants", "full", "--seeds", "1", "--max-restarts", "1"}).exit_code, 4);
  EXPECT_EQ(Events("started"), 2U);
}

TEST_F(SweepRestartTest, GoesOnFromCheckpointsAndRemovesThem) {
  WriteExperiment("behaviour = 'lost'\ncode = 4\n");
  const CommandResult result = Sweep({"--checkpoint-every", "20"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(Events("restarted"), 4U);
  const std::vector<json> finished = Entries("finished");
  ASSERT_EQ(finished.size(), 4U);
  for (const json& entry : finished) {
    EXPECT_EQ(entry.at("resumed_from_step"), 40);
    EXPECT_EQ(entry.at("steps_repeated"), 17);
  }
  EXPECT_THAT(ReadText(Run("deep", 1) / "log.txt"),
              HasSubstr("--checkpoint-dir " + (Run("deep", 1) / "checkpoints").string() +
                        " --checkpoint-every 20 --resume\n"));
  EXPECT_FALSE(fs::exists(Run("deep", 1) / "checkpoints"));
  EXPECT_THAT(ReadText(Run("deep", 1) / "config.toml"), Not(HasSubstr("checkpoint")));
}

TEST_F(SweepRestartTest, RemovesCheckpointsThatAFinishedRunLeft) {
  WriteExperiment("");
  ASSERT_EQ(Sweep().exit_code, 0);
  fs::create_directories(Run("full", 1) / "checkpoints" / "step-40");
  ASSERT_EQ(Sweep().exit_code, 0);
  EXPECT_FALSE(fs::exists(Run("full", 1) / "checkpoints"));
}

TEST_F(SweepRestartTest, AJournalThatCannotBeWrittenCostsNoRun) {
  DCN_SKIP_WITHOUT_TRACING();
  WriteExperiment("behaviour = 'lost'\ncode = 4\nonly-seed = 2\n");
  const fs::path journal = fs::canonical(folder_.path()) / "out" / "journal.jsonl";
  const CommandResult result = RunCommand(
      testing::CommandFailingAt({.name = "write", .path = journal}, "ENOSPC", Arguments()));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("the journal lacks an entry: cannot write the journal"));
  EXPECT_THAT(result.out, HasSubstr("journal.jsonl: No space left on device"));
  EXPECT_TRUE(fs::exists(Run("full", 2) / "result.json"));
  EXPECT_EQ(ReadText(journal), "");
}

TEST_F(SweepRestartTest, StopsWhileALostRunWaits) {
  WriteExperiment("behaviour = 'lost'\ncode = 4\ntimes = 100\n");
  RunningCommand sweep(Arguments({"--variants", "full", "--seeds", "1", "--max-restarts", "100"}),
                       folder_.path() / "err.txt");
  AwaitEvents("restarted", 3);
  sweep.Signal(SIGTERM);
  EXPECT_EQ(sweep.Wait().exit_code, 6);
  EXPECT_EQ(Events("started"), 3U);
}

TEST_F(SweepRestartTest, TakesItsWorkersAlongWhenItIsKilledAndGoesOn) {
  NamedPipe pipe(folder_.path() / "pipe");
  WriteExperiment("behaviour = 'stubborn-once'\npipe = '" + pipe.path().string() + "'\n");
  RunningCommand sweep(Arguments(), folder_.path() / "err.txt");
  EXPECT_THAT(pipe.ReadLine(), HasSubstr("started"));
  EXPECT_THAT(pipe.ReadLine(), HasSubstr("started"));
  AwaitEvents("started", 2);
  sweep.Signal(SIGKILL);
  // At once, without waiting for anything: neither is the folder still held, nor does a worker of
  // the first start live (it would be told, by exit code 7).
  RunningCommand second(Arguments({"--seeds", "1"}), folder_.path() / "err2.txt");
  EXPECT_EQ(sweep.Wait().signal, SIGKILL);
  EXPECT_EQ(second.Wait().exit_code, 0) << ReadText(folder_.path() / "err2.txt");
  EXPECT_EQ(pipe.ReadLine(), "");  // nobody has it open any more
  EXPECT_EQ(Events("sweep started"), 2U);
  EXPECT_EQ(Events("started"), 4U);
  EXPECT_EQ(Events("lost"), 2U);
  EXPECT_EQ(Events("finished"), 2U);
  // The log of the lost start is kept.
  const std::string log = ReadText(Run("full", 1) / "log.txt");
  EXPECT_NE(log.find("$ "), log.rfind("$ "));
}

/// With runs that are several processes under launch/train.sh. A "server" is a shell script.
class SeveralProcessesTest : public FakeSweep {
 protected:
  void SetUp() override {
    fs::create_directories(programs_);
    fs::create_symlink(std::getenv("DCN_FAKE_WORKER"), programs_ / "dcn_worker");
    WriteText(programs_ / "dcn_ps",
              "#!/bin/bash\n"
              "[[ $1 != --status ]] || exit 0\n"
              "echo started >>\"${0%/*}/starts\"\n"
              "while [[ $# -gt 0 ]]; do\n"
              "  [[ $1 != --port-file ]] || echo 127.0.0.1:7 >\"$2\"\n"
              "  shift\n"
              "done\n"
              "exec sleep 600\n");
    fs::permissions(programs_ / "dcn_ps", fs::perms::owner_all);
  }

  std::vector<std::string> SeveralArguments(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments =
        Arguments({"--worker", programs_ / "dcn_worker", "--workers", "2", "--servers", "1",
                   "--slots", "1", "--seeds", "1", "--variants", "full"});
    arguments.insert(arguments.end(), more.begin(), more.end());
    // For the logs that the script leaves.
    arguments.insert(arguments.begin(), {"env", "TMPDIR=" + folder_.path().string()});
    return arguments;
  }

  /// Whether anything of the run lives.
  bool IsHeld() const {
    return LockFile(Run("full", 1) / ".lock").status().code() == StatusCode::kUnavailable;
  }

  /// How often a server was started.
  std::ptrdiff_t ServerStarts() const {
    const std::string starts = ReadText(programs_ / "starts");
    return std::count(starts.begin(), starts.end(), '\n');
  }

  const fs::path programs_ = folder_.path() / "bin";
};

TEST_F(SeveralProcessesTest, StartsWorkersAndServersOfARun) {
  WriteExperiment("");
  const CommandResult result = RunCommand(SeveralArguments());
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("1 runs, 1 at a time, 2 workers and 1 server each, "));
  EXPECT_THAT(ReadText(Run("full", 1) / "log.txt"),
              HasSubstr(" --workers 2 --servers 1 --oversubscribe --max-restarts 3 -- --config "));
  EXPECT_FALSE(IsHeld());
}

TEST_F(SeveralProcessesTest, StartsARunAgainWhoseWorkersWereLost) {
  for (const char* const end : {"signal = 9", "code = 4"}) {
    fs::remove_all(output_);
    WriteExperiment(std::string("behaviour = 'lost'\n") + end + "\n");
    const CommandResult result = RunCommand(SeveralArguments({"--checkpoint-every", "20"}));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(Events("restarted"), 1U) << end;
    EXPECT_FALSE(fs::exists(Run("full", 1) / "checkpoints"));
  }
}

TEST_F(SeveralProcessesTest, ServersGoOnWhereOnlyWorkersWereLost) {
  WriteExperiment("behaviour = 'lost'\ncode = 4\ntimes = 2\n");
  const CommandResult result = RunCommand(SeveralArguments({"--checkpoint-every", "20"}));
  EXPECT_EQ(result.exit_code, 0) << result.err << ReadText(Run("full", 1) / "log.txt");
  EXPECT_EQ(ServerStarts(), 1);
  EXPECT_EQ(Events("started"), 1U);  // the script
  const std::vector<json> restarted = Entries("restarted");
  ASSERT_EQ(restarted.size(), 2U);
  for (std::size_t k = 0; k < 2; ++k) {
    EXPECT_EQ(restarted[k].at("reason"), "workers ended with exit code 4");
    EXPECT_EQ(restarted[k].at("restarts"), k + 1);
    EXPECT_EQ(restarted[k].at("wait_seconds"), k == 0 ? .5 : 1.);
    EXPECT_EQ(restarted[k].at("last_step"), 57);
  }
  EXPECT_EQ(restarted[1].at("resumed_from_step"), 40);
  EXPECT_EQ(restarted[1].at("steps_repeated"), 17);
  EXPECT_EQ(Entries("finished").at(0).at("steps_repeated"), 17);
  EXPECT_THAT(result.out, HasSubstr("full seed 1 workers ended with exit code 4; starting it again "
                                    "in 1 s (2 of 3)"));
}

TEST_F(SeveralProcessesTest, RestartsOfTheScriptCountAsOthers) {
  WriteExperiment("behaviour = 'lost'\ncode = 4\ntimes = 100\n");
  const CommandResult result = RunCommand(SeveralArguments({"--max-restarts", "1"}));
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_EQ(Events("started"), 1U);
  EXPECT_EQ(Events("restarted"), 1U);
  EXPECT_EQ(Events("failed"), 1U);
}

TEST_F(SeveralProcessesTest, EndsWithTheWorkersCodeWithoutARestart) {
  WriteExperiment("behaviour = 'fail'\n");
  const CommandResult result = RunCommand(SeveralArguments());
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("fake worker: --epochs: 0 is out of range"));
  EXPECT_EQ(Events("restarted"), 0U);
}

TEST_F(SeveralProcessesTest, LeavesNothingWhenItIsStopped) {
  // Told once, where all end when they are asked to; told twice, where none does.
  for (const char* const behaviour : {"wait", "stubborn"}) {
    NamedPipe pipe(folder_.path() / behaviour);
    fs::remove_all(output_);
    WriteExperiment(std::string("behaviour = '") + behaviour + "'\npipe = '" +
                    pipe.path().string() + "'\n");
    RunningCommand sweep(SeveralArguments(), folder_.path() / "err.txt");
    EXPECT_THAT(pipe.ReadLine(), HasSubstr("started"));
    EXPECT_THAT(pipe.ReadLine(), HasSubstr("started"));
    sweep.Signal(SIGTERM);
    EXPECT_EQ(pipe.ReadLine(), "asked to stop");
    if (std::string(behaviour) == "stubborn") sweep.Signal(SIGTERM);
    EXPECT_EQ(sweep.Wait().exit_code, 6);
    EXPECT_FALSE(IsHeld()) << behaviour;
    EXPECT_EQ(Events("stopped"), 1U);
    for (std::string line = "asked to stop"; !line.empty(); line = pipe.ReadLine()) {
      EXPECT_EQ(line, "asked to stop");
    }
  }
}

TEST_F(SeveralProcessesTest, WaitsForWhatAKilledSweepHasLeft) {
  NamedPipe pipe(folder_.path() / "pipe");
  WriteExperiment("behaviour = 'stubborn-once'\npipe = '" + pipe.path().string() + "'\n");
  RunningCommand sweep(SeveralArguments(), folder_.path() / "err.txt");
  EXPECT_THAT(pipe.ReadLine(), HasSubstr("started"));
  EXPECT_THAT(pipe.ReadLine(), HasSubstr("started"));
  sweep.Signal(SIGKILL);
  EXPECT_EQ(sweep.Wait().signal, SIGKILL);
  EXPECT_TRUE(IsHeld());  // workers that do not end when they are asked to are killed after 5 s
  const CommandResult second = RunCommand(SeveralArguments());
  EXPECT_EQ(second.exit_code, 0) << second.err << ReadText(Run("full", 1) / "log.txt");
  EXPECT_EQ(Events("lost"), 1U);
  EXPECT_EQ(Events("finished"), 1U);
  EXPECT_FALSE(IsHeld());
}

}  // namespace
}  // namespace dcn::sweep
