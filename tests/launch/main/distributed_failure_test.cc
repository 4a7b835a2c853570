// Processes of a run that come late, never, or die: nothing hangs, nothing stays, nothing lies.
//
// Each run has a job name of its own, by which its processes are found.

#include <chrono>
#include <csignal>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/testing/command.h"
#include "tests/testing/distributed_run.h"
#include "tests/testing/process_search.h"
#include "tests/testing/server_process.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::launch {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using testing::CommandResult;
using ::testing::HasSubstr;
using testing::ReadText;
using testing::RunningCommand;
using testing::ServerProcess;
using testing::TemporaryFolder;
using Clock = std::chrono::steady_clock;

// What a run may take to end once a process that it needs has died: the promise of the product.
constexpr std::chrono::seconds kEndsWithin{5};

class DistributedFailure : public ::testing::Test {
 protected:
  ~DistributedFailure() override { EXPECT_TRUE(testing::AwaitNoProcess(job_)); }

  // A run that would take minutes, unless `more` says otherwise.
  [[nodiscard]] std::vector<std::string> LongRun(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {
        "--data",   "synthetic-small", "--batch-size", "1600", "--slice-rows", "128",
        "--epochs", "100000",          "--threads",    "1",    "--job",        job_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  void StartServer(const std::string& listen = "127.0.0.1:0",
                   const std::vector<std::string>& arguments = {}) {
    server_ = std::make_unique<ServerProcess>(folder_.path(), "server", arguments, listen);
  }

  void StartRun(const std::vector<std::string>& command_line) {
    run_ = std::make_unique<RunningCommand>(command_line, path("log"));
  }

  // Waits until `is_so`; fails the test after 30 s, or when the run has ended.
  template <typename IsSo>
  void Await(const std::string& what, IsSo is_so) {
    const auto deadline = Clock::now() + std::chrono::seconds(30);
    while (!is_so()) {
      if (Clock::now() > deadline || run_->HasEnded()) {
        FAIL() << what << " did not come to pass; the run said: " << ReadText(path("log"));
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }

  [[nodiscard]] std::string Status() const {
    return testing::RunCommand({testing::BuiltProgram("dcn_ps"), "--status", server_->address()})
        .out;
  }

  // Until some steps were taken on the server.
  void AwaitTraining() {
    Await("training", [&] {
      const std::string status = Status();
      const std::size_t shard = status.find("\n    0 ");
      return shard != std::string::npos && std::stoi(status.substr(shard + 6)) >= 20;
    });
  }

  [[nodiscard]] std::vector<pid_t> Ranks() const {
    std::vector<pid_t> ranks;
    for (const testing::FoundProcess& found : testing::FindProcesses(job_)) {
      const pid_t process = found.pid;
      if (process != run_->pid()) ranks.push_back(process);
    }
    return ranks;
  }

  // The run ends from now on within kEndsWithin, with this exit code; returns what it said.
  std::string ExpectEnd(int exit_code) {
    const auto start = Clock::now();
    const CommandResult result = run_->Wait();
    const auto took = Clock::now() - start;
    const std::string log = ReadText(path("log"));
    EXPECT_LE(took, kEndsWithin) << log;
    EXPECT_EQ(result.exit_code, exit_code) << log;
    EXPECT_TRUE(testing::AwaitNoProcess(job_));
    return log;
  }

  [[nodiscard]] std::string path(const std::string& name) const { return folder_.path() / name; }

  TemporaryFolder folder_;
  const std::string job_ =
      fmt::format("failure-test-{}-{}", ::getpid(), Clock::now().time_since_epoch().count());
  std::unique_ptr<ServerProcess> server_;
  std::unique_ptr<RunningCommand> run_;
};

TEST_F(DistributedFailure, AServerThatIsNeverThereEndsAllRanks) {
  for (const int ranks : {0, 2}) {
    StartRun(testing::WorkerCommandLine(
        ranks, LongRun({"--servers", "127.0.0.1:1", "--connect-timeout", "1"})));
    EXPECT_THAT(ExpectEnd(4), AllOf(HasSubstr("127.0.0.1:1"), HasSubstr("within 1000 ms")));
  }
}

TEST_F(DistributedFailure, AServerThatStartsAfterTheWorkersIsWaitedFor) {
  StartServer();
  const std::string address = server_->address();
  server_->Stop(SIGTERM);
  StartRun(testing::WorkerCommandLine(
      2, LongRun({"--servers", address, "--max-steps", "5", "--output", path("late")})));
  Await("loading", [&] { return ReadText(path("log")).find("ready after") != std::string::npos; });
  StartServer(address);
  EXPECT_EQ(run_->Wait().exit_code, 0) << ReadText(path("log"));
  const CommandResult alone =
      testing::RunCommand(testing::WorkerCommandLine(0, LongRun({"--max-steps", "5"})));
  const auto late = nlohmann::json::parse(ReadText(path("late") + "/result.json"));
  EXPECT_EQ(late["parameter_digest"], testing::DigestIn(alone.out));
}

TEST_F(DistributedFailure, AWorkerThatStartsLateIsWaitedFor) {
  const std::vector<std::string> arguments = LongRun({"--max-steps", "5"});
  const std::vector<std::string> command = testing::WorkerCommandLine(0, arguments);
  std::vector<std::string> second = command;
  second.insert(second.begin(), {"sh", "-c", "sleep 1; exec \"$@\"", "late"});
  const CommandResult late = testing::RunCommand(testing::TwoRanks(command, second));
  EXPECT_EQ(late.exit_code, 0) << late.err;
  const CommandResult alone = testing::RunCommand(testing::WorkerCommandLine(0, arguments));
  EXPECT_EQ(testing::DigestIn(late.out), testing::DigestIn(alone.out));
}

TEST_F(DistributedFailure, AWorkerThatDoesNotStartEndsTheOthersWithinTheConnectTimeout) {
  const std::vector<std::string> arguments = LongRun({"--connect-timeout", "1"});
  StartRun(testing::TwoRanks(testing::WorkerCommandLine(0, arguments), {"sleep", "1000"}));
  EXPECT_THAT(ExpectEnd(4), HasSubstr("not all ranks are there within 1000 ms"));
}

TEST_F(DistributedFailure, ASignalEndsARunThatWaitsForServersAtOnce) {
  StartRun(testing::WorkerCommandLine(
      0, LongRun({"--servers", "127.0.0.1:1", "--connect-timeout", "1000"})));
  Await("loading", [&] { return ReadText(path("log")).find("ready after") != std::string::npos; });
  run_->Signal(SIGTERM);
  EXPECT_THAT(ExpectEnd(6), HasSubstr("stopped by SIGTERM"));
}

TEST_F(DistributedFailure, TwoRunsAtTheSameMomentNeverMix) {
  StartServer();
  const auto arguments = [&](const std::string& seed) {
    return LongRun({"--servers", server_->address(), "--seed", seed, "--max-steps", "20",
                    "--connect-timeout", "2", "--output", path(seed)});
  };
  std::vector<std::string> digests;
  for (const char* seed : {"1", "2"}) {
    const CommandResult alone = testing::RunCommand(
        testing::WorkerCommandLine(0, LongRun({"--seed", seed, "--max-steps", "20"})));
    digests.push_back(testing::DigestIn(alone.out));
  }
  int done = 0;
  for (int round = 0; round < 6; ++round) {
    StartRun(testing::WorkerCommandLine(0, arguments("1")));
    const CommandResult second = testing::RunCommand(testing::WorkerCommandLine(0, arguments("2")));
    const CommandResult first = run_->Wait();
    for (const auto& [run, seed] : {std::pair{first, 0U}, {second, 1U}}) {
      if (run.exit_code != 0) {
        EXPECT_EQ(run.exit_code, 4);
        continue;
      }
      ++done;
      const auto result =
          nlohmann::json::parse(ReadText(path(std::to_string(seed + 1)) + "/result.json"));
      EXPECT_EQ(result["parameter_digest"], digests[seed]) << "round " << round;
    }
  }
  EXPECT_GE(done, 6) << "one of two gets the server";
}

TEST_F(DistributedFailure, AKilledServerEndsAllRanksAndIsNamed) {
  for (const int ranks : {0, 3}) {
    StartServer();
    StartRun(testing::WorkerCommandLine(ranks, LongRun({"--servers", server_->address()})));
    AwaitTraining();
    server_->Stop(SIGKILL);
    EXPECT_THAT(ExpectEnd(4), AllOf(HasSubstr("server " + server_->address()),
                                    HasSubstr("push-pull of step"), HasSubstr("shard 0")));
  }
}

TEST_F(DistributedFailure, AServerThatIsRestartedEmptyEndsTheRun) {
  StartServer();
  StartRun(testing::WorkerCommandLine(2, LongRun({"--servers", server_->address()})));
  AwaitTraining();
  const std::string address = server_->address();
  server_->Stop(SIGKILL);
  StartServer(address);
  EXPECT_THAT(ExpectEnd(4), AllOf(HasSubstr(address), HasSubstr("lost its memory")));
  EXPECT_THAT(Status(), HasSubstr("job        none"));
}

TEST_F(DistributedFailure, AStoppedServerEndsAllRanksAfterTheRequestTimeout) {
  StartServer();
  StartRun(testing::WorkerCommandLine(
      2, LongRun({"--servers", server_->address(), "--request-timeout", "1"})));
  AwaitTraining();
  server_->Signal(SIGSTOP);
  EXPECT_THAT(ExpectEnd(4), AllOf(HasSubstr(server_->address()), HasSubstr("push-pull of step")));
  server_->Signal(SIGCONT);
}

TEST_F(DistributedFailure, AKilledRankFreesTheServersForTheNextRun) {
  StartServer();
  StartRun(testing::WorkerCommandLine(2, LongRun({"--servers", server_->address()})));
  AwaitTraining();
  const std::vector<pid_t> ranks = Ranks();
  ASSERT_EQ(ranks.size(), 2U);
  ::kill(ranks[1], SIGKILL);
  ExpectEnd(137);
  const CommandResult next = testing::RunCommand(testing::WorkerCommandLine(
      2, LongRun({"--servers", server_->address(), "--max-steps", "5"})));
  EXPECT_EQ(next.exit_code, 0) << next.err;
  EXPECT_THAT(Status(), HasSubstr("(ended), epoch 2"));
}

TEST_F(DistributedFailure, AKilledRankEndsARunWithShardsInside) {
  for (const std::size_t victim : {0U, 2U}) {
    StartRun(testing::WorkerCommandLine(3, LongRun()));
    // The first progress line comes after some seconds.
    Await("training", [&] { return ReadText(path("log")).find("  step ") != std::string::npos; });
    const std::vector<pid_t> ranks = Ranks();
    ASSERT_EQ(ranks.size(), 3U);
    ::kill(ranks[victim], SIGKILL);
    ExpectEnd(137);
  }
}

TEST_F(DistributedFailure, AStoppedRankEndsTheRunAfterTheRequestTimeout) {
  StartServer();
  StartRun(testing::WorkerCommandLine(
      2, LongRun({"--servers", server_->address(), "--request-timeout", "1"})));
  AwaitTraining();
  const std::vector<pid_t> ranks = Ranks();
  ASSERT_EQ(ranks.size(), 2U);
  ::kill(ranks[1], SIGSTOP);
  EXPECT_THAT(ExpectEnd(4),
              AnyOf(HasSubstr("no answer from rank 1"), HasSubstr("push-pull of step")));
}

TEST_F(DistributedFailure, ASecondJobIsRefusedByNameWhileTheFirstRuns) {
  StartServer();
  StartRun(testing::WorkerCommandLine(2, LongRun({"--servers", server_->address()})));
  AwaitTraining();
  const CommandResult second = testing::RunCommand(testing::WorkerCommandLine(
      2, LongRun({"--servers", server_->address(), "--connect-timeout", "3", "--job", "another"})));
  EXPECT_EQ(second.exit_code, 4) << second.err;
  EXPECT_THAT(second.err, AllOf(HasSubstr("busy"), HasSubstr(job_), HasSubstr(server_->address())));
  run_->Signal(SIGTERM);
  run_->Wait();
  EXPECT_TRUE(testing::AwaitNoProcess(job_));
}

TEST_F(DistributedFailure, AServerThatIsStoppedGracefullyTellsTheRun) {
  StartServer();
  StartRun(testing::WorkerCommandLine(2, LongRun({"--servers", server_->address()})));
  AwaitTraining();
  EXPECT_EQ(server_->Stop(SIGTERM).exit_code, 6);
  EXPECT_THAT(ExpectEnd(4), HasSubstr(server_->address()));
}

}  // namespace
}  // namespace dcn::launch
