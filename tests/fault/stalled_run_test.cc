// A run that is there and takes no steps any more, since its only worker is stopped (SIGSTOP): who
// leads it notices, and replaces it. And that the journal knows to the step what a loss has cost.

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "launch/sweep/step_files.h"
#include "tests/testing/command.h"
#include "tests/testing/distributed_run.h"
#include "tests/testing/process_search.h"
#include "tests/testing/temporary_folder.h"
#include "worker/export/step_file.h"

namespace dcn {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using nlohmann::json;
using testing::FoundProcess;
using ::testing::HasSubstr;
using testing::ReadText;
using testing::RunningCommand;

constexpr std::uint64_t kSteps = 400;
constexpr std::uint64_t kCheckpointEvery = 10;
constexpr std::uint64_t kFirstStop = 25;  // there is a checkpoint, or two

bool HasEnvironment(pid_t process, const std::string& setting) {
  std::ifstream file(fmt::format("/proc/{}/environ", process), std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return text.find(setting + '\0') != std::string::npos;
}

/// Whether it does not run, as after SIGSTOP.
bool IsStopped(pid_t process) {
  std::ifstream file(fmt::format("/proc/{}/stat", process));
  std::string text;
  std::getline(file, text);
  const std::size_t name_end = text.rfind(") ");
  return name_end != std::string::npos && text[name_end + 2] == 'T';
}

class StalledRun : public ::testing::Test {
 protected:
  ~StalledRun() override { EXPECT_TRUE(testing::AwaitNoProcess(mark())); }

  void SetUp() override {
    const std::string training = fmt::format(
        "batch-size = 1024\nslice-rows = 128\nmax-steps = {}\nepochs = 100000\n", kSteps);
    testing::WriteText(experiment_,
                       "name = 'stall'\ndata = 'synthetic-small'\nseeds = [1]\n[training]\n" +
                           training + "[[variant]]\nname = 'dcn'\nmodel = 'dcn'\n");
    const auto result = testing::RunCommand(
        {testing::BuiltProgram("dcn_worker"), "--data", "synthetic-small", "--batch-size", "1024",
         "--slice-rows", "128", "--max-steps", std::to_string(kSteps), "--epochs", "100000"},
        600s);
    oracle_ = testing::DigestIn(result.out);
    ASSERT_FALSE(oracle_.empty()) << result.err;
  }

  /// dcn_sweep over the run, with checkpoints.
  std::vector<std::string> Sweep(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"env",
                                          "TMPDIR=" + folder_.path().string(),  // of train.sh
                                          testing::BuiltProgram("dcn_sweep"),
                                          experiment_,
                                          "--output",
                                          output_,
                                          "--threads",
                                          "1",
                                          "--checkpoint-every",
                                          std::to_string(kCheckpointEvery)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  /// Rank 0, where it runs; 0: it does not.
  pid_t FindRank0() const {
    for (const FoundProcess& process : testing::FindProcesses(mark())) {
      if (process.program == "dcn_worker" &&
          (HasEnvironment(process.pid, "OMPI_COMM_WORLD_RANK=0") ||
           !HasEnvironment(process.pid, "OMPI_COMM_WORLD_RANK=1"))) {
        return process.pid;
      }
    }
    return 0;
  }

  /// Stops rank 0 of the run's first attempt among its steps. Its process; 0: it came to none.
  pid_t StopRank0() const {
    const auto deadline = Clock::now() + 120s;
    pid_t rank_0 = 0;
    while (rank_0 == 0 || ReadSteps().value_or(output::StepReport{}).last_step < kFirstStop) {
      if (Clock::now() > deadline) return 0;
      if (rank_0 == 0) rank_0 = FindRank0();
      std::this_thread::sleep_for(1ms);
    }
    ::kill(rank_0, SIGSTOP);
    while (!IsStopped(rank_0) && Clock::now() < deadline) std::this_thread::sleep_for(1ms);
    return rank_0;
  }

  /// What the first attempt tells.
  std::optional<output::StepReport> ReadSteps() const {
    const auto report = output::ReadStepFile(step_files_.File(run_, 0));
    return report.ok() ? std::optional(*report) : std::nullopt;
  }

  /// The only entry of an event.
  json Entry(const std::string& event) const {
    std::ifstream journal(output_ / "journal.jsonl");
    std::vector<json> entries;
    for (std::string line; std::getline(journal, line);) {
      json entry = json::parse(line);
      if (entry.at("event") == event) entries.push_back(std::move(entry));
    }
    EXPECT_EQ(entries.size(), 1U) << event << "\n" << ReadText(output_ / "journal.jsonl");
    return entries.empty() ? json::object() : entries.front();
  }

  /// That the run came to its end after one loss, at that step.
  void ExpectGoodEnd(RunningCommand& sweep, std::uint64_t lost_at, const std::string& reason) {
    ASSERT_EQ(sweep.Wait().exit_code, 0) << Logs();
    const json restarted = Entry("restarted");
    EXPECT_THAT(restarted.value("reason", ""), HasSubstr(reason));
    EXPECT_EQ(restarted.value("last_step", json()), lost_at) << restarted;
    const json finished = Entry("finished");
    EXPECT_EQ(finished.value("parameter_digest", ""), oracle_);
    const auto resumed = finished.value("resumed_from_step", std::uint64_t{0});
    EXPECT_EQ(resumed % kCheckpointEvery, 0U);
    EXPECT_EQ(finished.value("steps_repeated", json()), lost_at - resumed) << finished;
    EXPECT_GE(finished.value("restart_seconds", 0.), .4) << finished;  // .5 s of them waiting
    fmt::print("lost at step {} after {} s, went on from {} within {} s\n", lost_at,
               restarted.value("seconds", 0.), resumed, finished.value("restart_seconds", 0.));
    EXPECT_FALSE(fs::exists(step_files_.File(run_, 0)));
  }

  std::string Logs() const {
    const fs::path log = run_.folder / "log.txt";
    return ReadText(log_) + (fs::exists(log) ? ReadText(log) : "");
  }

  // Part of the command lines of all processes of the run.
  std::string mark() const { return folder_.path().filename().string(); }

  const testing::TemporaryFolder folder_;
  const fs::path experiment_ = folder_.path() / "experiment.toml";
  const fs::path output_ = folder_.path() / "sweep";
  const fs::path log_ = folder_.path() / "log";
  const sweep::PlannedRun run_ = {"dcn", 1, sweep::RunFolder(output_, "dcn", 1), ""};
  const sweep::StepFiles step_files_{"/dev/shm"};
  std::string oracle_;
};

TEST_F(StalledRun, AStoppedProcessThatIsTheRunIsReplaced) {
  RunningCommand sweep(Sweep({"--stall-timeout", "3"}), log_);
  ASSERT_NE(StopRank0(), 0) << Logs();
  ExpectGoodEnd(sweep, ReadSteps()->last_step, "took no step any more (--stall-timeout)");
}

TEST_F(StalledRun, AStoppedWorkerThatIsTheOnlyOneIsReplaced) {
  RunningCommand sweep(Sweep({"--stall-timeout", "3", "--servers", "1"}), log_);
  ASSERT_NE(StopRank0(), 0) << Logs();
  const std::uint64_t step = ReadSteps()->last_step;
  // What the server has seen of it: the step that was told, or one more that was under way.
  std::string status;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_.path())) {
    const fs::path port = entry.path() / "port.0";
    if (!fs::exists(port)) continue;
    std::string address = ReadText(port);
    address.resize(address.find('\n'));
    status = testing::RunCommand({testing::BuiltProgram("dcn_ps"), "--status", address,
                                  "--token-file", entry.path() / "token"})
                 .out;
  }
  const auto served = [&](std::uint64_t at) {
    return status.find(fmt::format("\n    0  {:>8}", at)) != std::string::npos;
  };
  EXPECT_TRUE(served(step) || served(step + 1)) << step << "\n" << status;
  ExpectGoodEnd(sweep, step, "workers took no step any more (--stall-timeout)");
}

TEST_F(StalledRun, AKilledRanksLastStepIsKnown) {
  RunningCommand sweep(Sweep({"--workers", "2", "--servers", "1"}), log_);
  const pid_t rank_0 = StopRank0();
  ASSERT_NE(rank_0, 0) << Logs();
  const std::uint64_t step = ReadSteps()->last_step;
  ::kill(rank_0, SIGKILL);
  ExpectGoodEnd(sweep, step, "workers ended with exit code ");
}

}  // namespace
}  // namespace dcn
