// dcn_sweep as a user starts it, over fake workers: what it runs, keeps, refuses, and how it ends.

#include "launch/sweep/sweep.h"

#include <csignal>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/launch/sweep/fake_sweep.h"

namespace dcn::sweep {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

using SweepTest = FakeSweep;

TEST_F(SweepTest, RunsEveryVariantWithEverySeedAndReports) {
  WriteExperiment("");
  const CommandResult result = Sweep();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (const char* variant : {"full", "deep"}) {
    for (const std::uint64_t seed : {1U, 2U}) {
      EXPECT_TRUE(fs::exists(Run(variant, seed) / "result.json")) << variant << seed;
      EXPECT_THAT(ReadText(Run(variant, seed) / "log.txt"),
                  HasSubstr("--seed " + std::to_string(seed) + " --data synthetic-small"));
      EXPECT_THAT(ReadText(Run(variant, seed) / "config.toml"), HasSubstr("epochs = 3\n"));
    }
  }
  EXPECT_EQ(Events("started"), 4U);
  EXPECT_EQ(Events("finished"), 4U);
  EXPECT_THAT(result.out, HasSubstr("[4/4]"));
  EXPECT_THAT(result.out, HasSubstr("± "));
  const json summary = json::parse(ReadText(output_ / "summary.json"));
  ASSERT_EQ(summary.at("variants").size(), 2U);
  EXPECT_EQ(summary.at("variants").at(0).at("name"), "full");
  EXPECT_EQ(summary.at("variants").at(1).at("runs").size(), 2U);
  EXPECT_THAT(ReadText(output_ / "report.html"), HasSubstr("4 of 4 runs"));
  // The data was encoded before the runs, where they find it.
  EXPECT_FALSE(fs::is_empty(output_ / "cache"));
}

TEST_F(SweepTest, RunsAgainOnlyWhatIsNotFinished) {
  WriteExperiment("");
  ASSERT_EQ(Sweep().exit_code, 0);
  const CommandResult again = Sweep();
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_THAT(again.out, HasSubstr("4 of 4 runs were finished before"));
  EXPECT_EQ(Events("started"), 4U);
  fs::remove(Run("full", 2) / "result.json");
  WriteText(Run("deep", 1) / "result.json", "{\"seed\": 1");
  const CommandResult repaired = Sweep();
  EXPECT_EQ(repaired.exit_code, 0) << repaired.err;
  EXPECT_THAT(repaired.out, HasSubstr("deep seed 1 runs again: "));
  EXPECT_EQ(Events("started"), 6U);
  EXPECT_EQ(Events("finished"), 6U);
}

TEST_F(SweepTest, AddsSeedsToAFolder) {
  WriteExperiment("");
  ASSERT_EQ(Sweep({"--seeds", "1", "--variants", "deep"}).exit_code, 0);
  EXPECT_EQ(Events("started"), 1U);
  ASSERT_EQ(Sweep({"--seeds", "1,2,3"}).exit_code, 0);
  EXPECT_EQ(Events("started"), 6U);
  const json summary = json::parse(ReadText(output_ / "summary.json"));
  EXPECT_EQ(summary.at("planned_runs"), 6);
  EXPECT_EQ(summary.at("finished_runs"), 6);
}

TEST_F(SweepTest, EndsWithTheCodeAndTheLastLinesOfAFailingRun) {
  WriteExperiment("behaviour = 'fail'\nonly-seed = 1\n");
  const CommandResult result = Sweep({"--slots", "1"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("full seed 1 ended with exit code 2:"));
  EXPECT_THAT(result.err, HasSubstr("fake worker: --epochs: 0 is out of range"));
  EXPECT_THAT(result.err, HasSubstr((Run("full", 1) / "log.txt").string()));
  EXPECT_EQ(Events("started"), 1U);  // nothing after it
  EXPECT_EQ(Events("failed"), 1U);
  EXPECT_FALSE(fs::exists(output_ / "report.html"));  // nothing to report
}

TEST_F(SweepTest, ReportsWhatIsFinishedWhenARunFails) {
  WriteExperiment("behaviour = 'fail'\nonly-seed = 2\n");
  EXPECT_EQ(Sweep({"--slots", "1"}).exit_code, 2);
  EXPECT_THAT(ReadText(output_ / "report.html"), HasSubstr("2 of 4 runs"));
  EXPECT_THAT(ReadText(output_ / "report.html"), HasSubstr("The sweep is not finished"));
}

TEST_F(SweepTest, TakesNoResultForAFailure) {
  WriteExperiment("behaviour = 'no-result'\n");
  const CommandResult result = Sweep({"--slots", "1"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("left no usable result"));
}

TEST_F(SweepTest, RefusesAFolderOfAnotherExperiment) {
  WriteExperiment("");
  ASSERT_EQ(Sweep().exit_code, 0);
  const CommandResult result = Sweep({"--epochs", "4"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("variant full, epochs is 3 there and 4 here"));
  EXPECT_EQ(Events("started"), 4U);
}

TEST_F(SweepTest, StopsItsWorkersOnASignalAndGoesOnLater) {
  for (const int signal : {SIGTERM, SIGINT}) {
    NamedPipe pipe(folder_.path() / ("pipe" + std::to_string(signal)));
    WriteExperiment("behaviour = 'wait'\nonly-seed = 2\npipe = '" + pipe.path().string() + "'\n");
    fs::remove_all(output_);
    RunningCommand sweep(Arguments(), folder_.path() / "err.txt");
    EXPECT_THAT(pipe.ReadLine(), HasSubstr("started"));
    sweep.Signal(signal);
    EXPECT_EQ(sweep.Wait().exit_code, 6);
    EXPECT_THAT(ReadText(folder_.path() / "err.txt"), HasSubstr("the same command goes on"));
    EXPECT_EQ(Events("stopped"), Events("started") - Events("finished"));
    EXPECT_GE(Events("stopped"), 1U);
    EXPECT_THAT(ReadText(output_ / "report.html"), HasSubstr("2 of 4 runs"));
  }
  // The two that were stopped run when they are let.
  const std::size_t started = Events("started");
  std::string config = ReadText(experiment_);
  config.replace(config.find("only-seed = 2"), 13, "only-seed = 7");
  WriteText(experiment_, config);
  const CommandResult changed = Sweep();
  EXPECT_EQ(changed.exit_code, 2);  // that is another configuration …
  fs::remove(output_ / "sweep.json");
  const CommandResult foreign = Sweep();
  EXPECT_EQ(foreign.exit_code, 2);  // … and without its record the folder is foreign
  EXPECT_THAT(foreign.err, HasSubstr("holds no sweep"));
  EXPECT_EQ(Events("started"), started);
}

TEST_F(SweepTest, KillsWorkersThatStayWhenToldTwice) {
  NamedPipe pipe(folder_.path() / "pipe");
  WriteExperiment("behaviour = 'stubborn'\npipe = '" + pipe.path().string() + "'\n");
  RunningCommand sweep(Arguments({"--slots", "1"}), folder_.path() / "err.txt");
  EXPECT_THAT(pipe.ReadLine(), HasSubstr("started"));
  sweep.Signal(SIGTERM);
  EXPECT_EQ(pipe.ReadLine(), "asked to stop");
  sweep.Signal(SIGTERM);
  EXPECT_EQ(sweep.Wait().exit_code, 6);
  EXPECT_EQ(pipe.ReadLine(), "");
  EXPECT_EQ(Events("stopped"), 1U);
}

TEST_F(SweepTest, IsAloneInItsFolder) {
  NamedPipe pipe(folder_.path() / "pipe");
  WriteExperiment("behaviour = 'wait'\npipe = '" + pipe.path().string() + "'\n");
  RunningCommand sweep(Arguments({"--slots", "1"}), folder_.path() / "err.txt");
  EXPECT_THAT(pipe.ReadLine(), HasSubstr("started"));
  const CommandResult second = Sweep();
  EXPECT_EQ(second.exit_code, 2);
  EXPECT_THAT(second.err, HasSubstr("process " + std::to_string(sweep.pid()) + ", works in"));
  sweep.Signal(SIGTERM);
  EXPECT_EQ(sweep.Wait().exit_code, 6);
}

TEST_F(SweepTest, NamesWhatIsWrongWithItsArgumentsAndLeavesNothing) {
  WriteExperiment("");
  struct Case {
    std::vector<std::string> more;
    int exit_code;
    const char* message;
  };
  const Case cases[] = {
      {{"--slots", "-1"}, 2, "--slots"},
      {{"--slots", "many"}, 2, "--slots"},
      {{"--threads", "5000"}, 2, "--threads"},
      {{"--launcher", "carrier-pigeon"}, 2, "--launcher"},
      {{"--launcher", "local", "--workers", "2"}, 2, "--launcher local: a run with --workers 2"},
      {{"--launcher", "local", "--servers", "1"}, 2, "needs mpirun"},
      {{"--launcher", "slurm", "--servers", "1"}, 2, "leave --servers out"},
      {{"--workers", "2"}, 2, "wants a program named dcn_worker"},
      {{"--workers", "2", "--train-script", "/absent.sh"}, 2, "no program /absent.sh"},
      {{"--workers", "0"}, 2, "--workers"},
      {{"--servers", "-1"}, 2, "--servers"},
      {{"--checkpoint-every", "-1"}, 2, "--checkpoint-every"},
      {{"--max-restarts", "-1"}, 2, "--max-restarts"},
      {{"--stall-timeout", "1e6"}, 2, "--stall-timeout: 1e6 is not a whole number in 0 .. 999999"},
      {{"--seeds", "1,x"}, 2, "--seeds: x is not a whole number in 0 .. "},
      {{"--seeds", "-1"}, 2, "--seeds: -1 is not a whole number in 0 .. "},
      {{"--seeds=1,18446744073709551616"}, 2, "is not a whole number in 0 .. 18446744073709551615"},
      {{"--seeds", "1.5"}, 2, "--seeds: 1.5 is not a whole number in 0 .. "},
      {{"--seeds", "1,1"}, 2, "1 is named twice"},
      {{"--variants", "dnn"}, 2, "expected some of full, deep"},
      {{"--epochs", "0"}, 2, "--epochs"},
      {{"--worker", "/absent/worker"}, 2, "/absent/worker"},
      {{"--worker", "/"}, 2, "no program /"},
      {{"--log-level", "loud"}, 2, "--log-level: unknown log level 'loud'"},
      {{"--config", "/absent.toml"}, 2, "/absent.toml"},
      {{"--colour"}, 2, "--colour"},
      {{"--data", (folder_.path() / "absent").string()}, 3, "absent"},
      {{"--output", experiment_.string()}, 2, "fake.toml"},
  };
  for (const Case& wrong : cases) {
    const CommandResult result = Sweep(wrong.more);
    EXPECT_EQ(result.exit_code, wrong.exit_code) << wrong.message << "\n" << result.err;
    EXPECT_THAT(result.err, HasSubstr(wrong.message));
    EXPECT_TRUE(result.err.starts_with("dcn_sweep: ")) << result.err;
    EXPECT_FALSE(fs::exists(output_)) << wrong.message;
  }
  EXPECT_EQ(RunCommand({BuiltProgram("dcn_sweep")}).exit_code, 2);
  fs::remove(experiment_);
  EXPECT_EQ(Sweep().exit_code, 2);
}

TEST_F(SweepTest, ReadsOptionsFromAFile) {
  WriteExperiment("");
  WriteText(folder_.path() / "options.toml", "seeds = [4]\nvariants = [\"deep\"]\nslots = 1\n");
  ASSERT_EQ(Sweep({"--config", folder_.path() / "options.toml"}).exit_code, 0);
  EXPECT_TRUE(fs::exists(Run("deep", 4) / "result.json"));
  EXPECT_EQ(Events("started"), 1U);
  WriteText(folder_.path() / "wrong.toml", "colour = \"red\"\n");
  const CommandResult wrong = Sweep({"--config", folder_.path() / "wrong.toml"});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.err, HasSubstr((folder_.path() / "wrong.toml").string() + ":1: "));
}

TEST_F(SweepTest, ShowsNoTerminalControlsInAFile) {
  WriteExperiment("");
  const CommandResult result = Sweep();
  EXPECT_THAT(result.out + result.err, Not(HasSubstr("\x1b")));
}

}  // namespace
}  // namespace dcn::sweep
