// dcn_sweep as a user starts it, over fake workers: what it runs, keeps, refuses, and how it ends.

#include "launch/sweep/sweep.h"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <poll.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "common/file/file_descriptor.h"
#include "tests/launch/fixture_sweep.h"
#include "tests/testing/command.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::sweep {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::BuiltProgram;
using testing::CommandResult;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::ReadText;
using testing::RunCommand;
using testing::RunningCommand;
using testing::WriteText;

/// The reading end of a named pipe that fake workers tell of themselves through.
class NamedPipe {
 public:
  explicit NamedPipe(fs::path path) : path_(std::move(path)) {
    EXPECT_EQ(::mkfifo(path_.c_str(), 0600), 0);
    file_ = FileDescriptor(::open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    EXPECT_TRUE(file_.is_open());
  }

  /// The next line; empty once every worker that had the pipe open has ended. Waits, at most a
  /// minute.
  std::string ReadLine() {
    std::string line;
    while (true) {
      pollfd waited{.fd = file_.get(), .events = POLLIN, .revents = 0};
      if (::poll(&waited, 1, 60'000) != 1) {
        ADD_FAILURE() << "no worker told anything for a minute";
        return line;
      }
      char c = 0;
      if (::read(file_.get(), &c, 1) != 1 || c == '\n') return line;
      line += c;
    }
  }

  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  FileDescriptor file_;
};

class SweepTest : public ::testing::Test {
 protected:
  /// Writes the experiment: variants full and deep, seeds 1 and 2, with `training` added.
  void WriteExperiment(const std::string& training) {
    WriteText(experiment_,
              "name = 'fake'\ndata = 'synthetic-small'\nseeds = [1, 2]\n[training]\nepochs = 3\n" +
                  training +
                  "[[variant]]\nname = 'full'\nmodel = 'full'\n"
                  "[[variant]]\nname = 'deep'\nmodel = 'deep'\n");
  }

  std::vector<std::string> Arguments(const std::vector<std::string>& more = {}) const {
    const char* fake_worker = std::getenv("DCN_FAKE_WORKER");
    std::vector<std::string> arguments = {BuiltProgram("dcn_sweep"),
                                          experiment_,
                                          "--output",
                                          output_,
                                          "--worker",
                                          fake_worker == nullptr ? "" : fake_worker,
                                          "--slots",
                                          "2"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  CommandResult Sweep(const std::vector<std::string>& more = {}) const {
    return RunCommand(Arguments(more));
  }

  /// How many journal entries there are of an event.
  std::size_t Events(const std::string& event) const {
    const Result<JournalText> journal =
        ParseJournal(ReadText(output_ / "journal.jsonl"), "journal.jsonl");
    EXPECT_TRUE(journal.ok()) << journal.status().ToString();
    if (!journal.ok()) return 0;
    return static_cast<std::size_t>(
        std::count_if(journal->entries.begin(), journal->entries.end(),
                      [&](const json& entry) { return entry.at("event") == event; }));
  }

  fs::path Run(const std::string& variant, std::uint64_t seed) const {
    return RunFolder(output_, variant, seed);
  }

  const testing::TemporaryFolder folder_;
  const fs::path experiment_ = folder_.path() / "fake.toml";
  const fs::path output_ = folder_.path() / "out";
};

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

TEST_F(SweepTest, StartsARunAgainThatASignalKilled) {
  WriteExperiment("behaviour = 'killed-once'\nonly-seed = 2\n");
  const CommandResult result = Sweep();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(Events("restarted"), 2U);
  EXPECT_EQ(Events("started"), 6U);
  EXPECT_THAT(result.out, HasSubstr("killed by signal 9"));
  // Both starts are in the log.
  const std::string log = ReadText(Run("full", 2) / "log.txt");
  EXPECT_NE(log.find("$ "), log.rfind("$ "));
}

TEST_F(SweepTest, GivesUpOnARunThatIsKilledTooOften) {
  WriteExperiment("behaviour = 'killed'\n");
  const CommandResult result = Sweep({"--slots", "1", "--max-restarts", "2"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(Events("started"), 3U);
  EXPECT_EQ(Events("restarted"), 2U);
  EXPECT_THAT(result.err, HasSubstr("full seed 1 was killed by signal 9"));
  EXPECT_EQ(Sweep({"--slots", "1", "--max-restarts", "0"}).exit_code, 1);
  EXPECT_EQ(Events("started"), 4U);
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

TEST_F(SweepTest, TakesItsWorkersAlongWhenItIsKilled) {
  NamedPipe pipe(folder_.path() / "pipe");
  WriteExperiment("behaviour = 'stubborn'\npipe = '" + pipe.path().string() + "'\n");
  RunningCommand sweep(Arguments({"--slots", "1"}), folder_.path() / "err.txt");
  EXPECT_THAT(pipe.ReadLine(), HasSubstr("started"));
  sweep.Signal(SIGKILL);
  EXPECT_EQ(sweep.Wait().signal, SIGKILL);
  EXPECT_EQ(pipe.ReadLine(), "");  // the worker's end of the pipe is closed: it is gone
  // Nothing holds the folder any more.
  EXPECT_EQ(Sweep({"--variants", "full", "--seeds", "9", "--epochs", "5"}).exit_code, 2);
  EXPECT_TRUE(fs::exists(output_ / "sweep.json"));
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
      {{"--max-restarts", "-1"}, 2, "--max-restarts"},
      {{"--seeds", "1,x"}, 2, "--seeds"},
      {{"--seeds", "1,1"}, 2, "1 is named twice"},
      {{"--variants", "dnn"}, 2, "expected some of full, deep"},
      {{"--epochs", "0"}, 2, "--epochs"},
      {{"--worker", "/absent/worker"}, 2, "/absent/worker"},
      {{"--worker", "/"}, 2, "no program /"},
      {{"--log-level", "loud"}, 2, "loud"},
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
  EXPECT_EQ(Sweep({"--config", folder_.path() / "wrong.toml"}).exit_code, 2);
}

TEST_F(SweepTest, ShowsNoTerminalControlsInAFile) {
  WriteExperiment("");
  const CommandResult result = Sweep();
  EXPECT_THAT(result.out + result.err, Not(HasSubstr("\x1b")));
}

}  // namespace
}  // namespace dcn::sweep
