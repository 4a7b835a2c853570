// A run that goes on from a checkpoint on other processes than it was saved with, or after a
// signal: the digest is that of one that was never interrupted.

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
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

#include "ps/message.h"
#include "tests/testing/command.h"
#include "tests/testing/distributed_run.h"
#include "tests/testing/process_search.h"
#include "tests/testing/server_process.h"
#include "tests/testing/tcp_proxy.h"
#include "tests/testing/temporary_folder.h"
#include "worker/checkpoint/manifest.h"

namespace dcn {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using testing::CommandResult;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::ReadText;
using testing::RunningCommand;
using testing::ServerProcess;

// Who computes: ranks (0: a process of its own), dcn_ps processes (0: shards inside), threads.
struct Layout {
  int ranks = 0;
  int servers = 0;
  int threads = 1;
};

class ResumeTest : public ::testing::Test {
 protected:
  [[nodiscard]] fs::path checkpoints() const { return folder_.path() / "checkpoints"; }

  [[nodiscard]] std::vector<std::string> Arguments(const Layout& layout, int steps,
                                                   const std::string& optimizer) {
    std::vector<std::string> arguments = {
        "--data",      "synthetic-small",     "--batch-size",
        "1000",        "--slice-rows",        "128",
        "--max-steps", std::to_string(steps), "--optimizer",
        optimizer,     "--threads",           std::to_string(layout.threads)};
    std::string list;
    servers_.clear();
    for (int s = 0; s < layout.servers; ++s) {
      servers_.push_back(std::make_unique<ServerProcess>(
          folder_.path(), fmt::format("server-{}", s),
          std::vector<std::string>{"--checkpoint-root", folder_.path().string(), "--shards",
                                   std::to_string(1 + s % 2)}));
      list += (list.empty() ? "" : ",") + servers_.back()->address();
    }
    if (layout.servers > 0) arguments.insert(arguments.end(), {"--servers", list});
    return arguments;
  }

  // A run with `more` arguments; expects exit code 0.
  CommandResult Run(const Layout& layout, int steps, const std::string& optimizer,
                    const std::vector<std::string>& more) {
    std::vector<std::string> arguments = Arguments(layout, steps, optimizer);
    arguments.insert(arguments.end(), more.begin(), more.end());
    const CommandResult result =
        testing::RunCommand(testing::WorkerCommandLine(layout.ranks, arguments));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result;
  }

  [[nodiscard]] std::vector<std::string> WithCheckpoints(std::vector<std::string> more = {}) const {
    more.insert(more.end(), {"--checkpoint-dir", checkpoints().string()});
    return more;
  }

  testing::TemporaryFolder folder_;
  std::vector<std::unique_ptr<ServerProcess>> servers_;
};

TEST_F(ResumeTest, AnyNumberOfWorkersServersAndThreadsGivesTheSameDigest) {
  const std::vector<Layout> of_all = {{1, 1, 1}, {3, 1, 1}, {1, 3, 2}, {4, 2, 1}};
  const std::vector<Layout> of_adam = {{1, 1, 1}, {3, 1, 1}, {1, 3, 2}, {4, 2, 1},
                                       {0, 0, 1}, {0, 0, 3}, {2, 0, 1}};
  for (const char* optimizer : {"adam", "lazy-adam", "adagrad", "sgd"}) {
    const std::string oracle = testing::DigestIn(Run({0, 0, 2}, 31, optimizer, {}).out);
    ASSERT_FALSE(oracle.empty());
    const fs::path saved = folder_.path() / "saved";
    fs::remove_all(saved);
    fs::remove_all(checkpoints());
    const CommandResult first =
        Run({2, 2, 1}, 20, optimizer, WithCheckpoints({"--checkpoint-every", "7"}));
    EXPECT_FALSE(testing::DigestIn(first.out).empty());
    fs::rename(checkpoints(), saved);
    for (const Layout& layout : optimizer == std::string("adam") ? of_adam : of_all) {
      SCOPED_TRACE(fmt::format("{}, {} ranks, {} servers, {} threads", optimizer, layout.ranks,
                               layout.servers, layout.threads));
      fs::remove_all(checkpoints());
      fs::copy(saved, checkpoints(), fs::copy_options::recursive);
      const CommandResult result = Run(layout, 31, optimizer, WithCheckpoints({"--resume"}));
      EXPECT_EQ(testing::DigestIn(result.out), oracle);
      EXPECT_THAT(result.err, HasSubstr("resumed from step 20 of checkpoint "));
    }
  }
}

TEST_F(ResumeTest, AnswersThatAreLostWhileRowsAreRestoredAreAskedForAgain) {
  const std::string oracle = testing::DigestIn(Run({0, 0, 2}, 31, "adam", {}).out);
  Run({2, 0, 1}, 20, "adam", WithCheckpoints());
  const ServerProcess server(folder_.path(), "server",
                             {"--shards", "2", "--checkpoint-root", folder_.path().string()});
  // Tables are created twice, then two shards are taken to the step, then rows come: of the answers
  // to all that, every second one is lost with its connection.
  std::atomic<int> answers = 0;
  const testing::TcpProxy proxy(server.port(), [&](const testing::ProxiedFrame& frame) {
    testing::FrameFate fate;
    const bool is_done = frame.type == static_cast<std::uint16_t>(ps::MessageType::kDone);
    if (is_done && ++answers % 2 == 0 && answers <= 16) fate.bytes_left = 0;
    return fate;
  });
  const CommandResult result =
      Run({}, 31, "adam", WithCheckpoints({"--resume", "--servers", proxy.address()}));
  EXPECT_EQ(testing::DigestIn(result.out), oracle);
  EXPECT_GE(answers, 16);
}

TEST_F(ResumeTest, AResultTellsOfItsCheckpointsAndOfWhereItWentOn) {
  const std::string output = folder_.path() / "out";
  Run({}, 25, "adam", WithCheckpoints({"--checkpoint-every", "10", "--output", output}));
  auto result = nlohmann::json::parse(ReadText(fs::path(output) / "result.json"));
  EXPECT_EQ(result.at("checkpoints").at("written"), 3);  // after 10, 20 and the last one
  EXPECT_EQ(result.at("checkpoints").at("failed"), 0);
  EXPECT_FALSE(result.contains("resumed_from_step"));
  const auto losses = result.at("loss_curve");
  // The two newest stay.
  fs::remove_all(checkpoints() / "step-000000000025-epoch-1");
  Run({}, 25, "adam", WithCheckpoints({"--resume", "--output", output}));
  result = nlohmann::json::parse(ReadText(fs::path(output) / "result.json"));
  EXPECT_EQ(result.at("resumed_from_step"), 20);
  EXPECT_EQ(result.at("steps"), 25);
  EXPECT_EQ(result.at("loss_curve"), losses);
}

TEST_F(ResumeTest, ARunThatIsWholeIsOnlyEvaluatedAgain) {
  const CommandResult first = Run({}, 12, "adam", WithCheckpoints());
  const CommandResult again = Run({}, 12, "adam", WithCheckpoints({"--resume"}));
  EXPECT_EQ(testing::DigestIn(again.out), testing::DigestIn(first.out));
}

TEST_F(ResumeTest, ARunThatIsProlongedTellsOfTheSameEpochsAsOneThatWasLongFromTheBeginning) {
  // 15 steps are one epoch.
  const std::string longer = folder_.path() / "longer";
  const std::string at_once = folder_.path() / "at-once";
  Run({}, 12, "adam", WithCheckpoints());
  Run({}, 20, "adam", WithCheckpoints({"--resume", "--output", longer}));
  Run({}, 20, "adam", {"--output", at_once});
  const auto prolonged = nlohmann::json::parse(ReadText(fs::path(longer) / "result.json"));
  const auto oracle = nlohmann::json::parse(ReadText(fs::path(at_once) / "result.json"));
  EXPECT_EQ(prolonged.at("parameter_digest"), oracle.at("parameter_digest"));
  ASSERT_EQ(oracle.at("epochs").size(), 2U);
  ASSERT_EQ(prolonged.at("epochs").size(), 2U) << prolonged.at("epochs");
  for (std::size_t e = 0; e < 2; ++e) {
    nlohmann::json one = prolonged.at("epochs")[e];
    nlohmann::json other = oracle.at("epochs")[e];
    for (nlohmann::json* epoch : {&one, &other}) epoch->erase("seconds");
    EXPECT_EQ(one, other);
  }
}

TEST_F(ResumeTest, WithoutACheckpointTheRunBeginsAtItsBeginning) {
  const CommandResult result = Run({}, 12, "adam", WithCheckpoints({"--resume"}));
  EXPECT_THAT(result.err, HasSubstr("no checkpoint yet, the run begins at its beginning"));
  EXPECT_EQ(testing::DigestIn(result.out), testing::DigestIn(Run({}, 12, "adam", {}).out));
}

// What a signal is sent to.
enum class Target { kProgram, kOneRank };

struct StopCase {
  Layout layout;
  int signal = 0;
  Target target = Target::kProgram;  // mpirun where there are ranks
};

// One of the ranks whose command line has `text`; 0: there is none.
pid_t RankWith(const std::string& text) {
  for (const testing::FoundProcess& found : testing::FindProcesses(text)) {
    if (found.program == "dcn_worker") return found.pid;
  }
  return 0;
}

TEST_F(ResumeTest, ASignalEndsAllRanksAfterAStepWithItsCheckpoint) {
  constexpr int kSteps = 400;
  const std::string oracle =
      testing::DigestIn(Run({0, 0, 2}, kSteps, "adam", {"--epochs", "1000"}).out);
  for (const StopCase& stop :
       {StopCase{{0, 0, 1}, SIGTERM}, StopCase{{0, 0, 1}, SIGUSR1}, StopCase{{0, 2, 1}, SIGINT},
        StopCase{{2, 0, 1}, SIGUSR1}, StopCase{{2, 2, 1}, SIGUSR1},
        StopCase{{2, 0, 1}, SIGTERM, Target::kOneRank},
        StopCase{{3, 2, 1}, SIGINT, Target::kOneRank}}) {
    const Layout& layout = stop.layout;
    SCOPED_TRACE(fmt::format("{} ranks, {} servers, signal {} to {}", layout.ranks, layout.servers,
                             stop.signal,
                             stop.target == Target::kOneRank ? "one rank" : "the program"));
    fs::remove_all(checkpoints());
    std::vector<std::string> arguments = Arguments(layout, kSteps, "adam");
    for (const auto& more : WithCheckpoints({"--epochs", "1000", "--checkpoint-every", "50"})) {
      arguments.push_back(more);
    }
    RunningCommand run(testing::WorkerCommandLine(layout.ranks, arguments), folder_.path() / "log");
    while (!fs::exists(checkpoints() / "step-000000000050-epoch-1" / "manifest.json") &&
           !run.HasEnded()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    if (stop.target == Target::kProgram) {
      run.Signal(stop.signal);
    } else {
      const pid_t rank = RankWith(checkpoints().string());
      ASSERT_GT(rank, 0);
      ::kill(rank, stop.signal);
    }
    EXPECT_EQ(run.Wait().exit_code, 6) << ReadText(folder_.path() / "log");
    servers_.clear();
    const CommandResult resumed =
        Run(layout, kSteps, "adam", WithCheckpoints({"--resume", "--epochs", "1000"}));
    EXPECT_EQ(testing::DigestIn(resumed.out), oracle);
    const std::size_t at = resumed.err.find("resumed from step ");
    ASSERT_NE(at, std::string::npos) << resumed.err;
    // The step at which it was stopped, not the last one that is due.
    const int step = std::stoi(resumed.err.substr(at + 18));
    EXPECT_GT(step, 50);
    EXPECT_NE(step % 50, 0);
  }
}

// mpirun leaves its ranks a second: what they can do in it is not promised, the digest is.
TEST_F(ResumeTest, AfterMpirunWasToldToEndTheRunGoesOn) {
  constexpr int kSteps = 400;
  const std::string oracle =
      testing::DigestIn(Run({0, 0, 2}, kSteps, "adam", {"--epochs", "1000"}).out);
  for (const int signal : {SIGTERM, SIGINT}) {
    fs::remove_all(checkpoints());
    std::vector<std::string> arguments = Arguments({2, 2, 1}, kSteps, "adam");
    for (const auto& more : WithCheckpoints({"--epochs", "1000", "--checkpoint-every", "10"})) {
      arguments.push_back(more);
    }
    RunningCommand run(testing::WorkerCommandLine(2, arguments), folder_.path() / "log");
    while (!fs::exists(checkpoints() / "step-000000000010-epoch-1" / "manifest.json") &&
           !run.HasEnded()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    run.Signal(signal);
    EXPECT_NE(run.Wait().exit_code, 0);
    servers_.clear();
    const CommandResult resumed =
        Run({2, 2, 1}, kSteps, "adam", WithCheckpoints({"--resume", "--epochs", "1000"}));
    EXPECT_THAT(resumed.err, HasSubstr("resumed from step "));
    EXPECT_EQ(testing::DigestIn(resumed.out), oracle);
  }
}

// As after Ctrl-C, and Ctrl-C again, where the first end takes too long.
TEST_F(ResumeTest, ASecondSignalEndsARunAtOnce) {
  std::vector<std::string> arguments = Arguments({0, 0, 1}, 1'000'000, "adam");
  for (const auto& more : WithCheckpoints({"--epochs", "100000", "--checkpoint-every", "10"})) {
    arguments.push_back(more);
  }
  RunningCommand run(testing::WorkerCommandLine(0, arguments), folder_.path() / "log");
  while (!fs::exists(checkpoints() / "step-000000000010-epoch-1" / "manifest.json") &&
         !run.HasEnded()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  run.Signal(SIGSTOP);  // so that it finds both
  run.Signal(SIGINT);
  run.Signal(SIGTERM);
  run.Signal(SIGCONT);
  EXPECT_EQ(run.Wait().exit_code, 6);
  EXPECT_THAT(ReadText(folder_.path() / "log"), HasSubstr("dcn_worker: stopped by SIGTERM"));
  for (const auto& entry : fs::directory_iterator(checkpoints())) {
    if (!fs::exists(entry.path() / "manifest.json")) continue;
    EXPECT_THAT(entry.path().filename().string(), ::testing::ContainsRegex("0-epoch-1$"));
  }
}

TEST_F(ResumeTest, WhatAnotherEngineHasWrittenIsWarnedOfAndTaken) {
  Run({}, 12, "adam", WithCheckpoints());
  const fs::path folder = checkpoints() / "step-000000000012-epoch-1";
  auto manifest = checkpoint::ReadManifest(folder);
  ASSERT_TRUE(manifest.ok()) << manifest.status().message();
  manifest->engine = "another engine";
  testing::WriteText(folder / checkpoint::kManifestFile, checkpoint::ToText(*manifest));
  const std::string warning = "the checkpoint was written with another engine, this is ";
  const CommandResult other = Run({}, 20, "adam", WithCheckpoints({"--resume"}));
  EXPECT_THAT(other.err, AllOf(HasSubstr(warning), HasSubstr(": the last bits may differ")));
  EXPECT_EQ(testing::DigestIn(other.out), testing::DigestIn(Run({}, 20, "adam", {}).out));
  // The one after it is this engine's own.
  const CommandResult own = Run({}, 25, "adam", WithCheckpoints({"--resume"}));
  EXPECT_THAT(own.err, Not(HasSubstr("the last bits may differ")));
}

// As where a folder of the same name is on each machine's own disk.
TEST_F(ResumeTest, RanksThatDoNotShareTheFolderAreRefusedAndLeaveItAsItIs) {
  const std::vector<fs::path> places = {folder_.path() / "a", folder_.path() / "b"};
  const std::vector<std::string> resumed = {"--checkpoint-dir", "checkpoints", "--resume"};
  std::vector<std::string> command = {"mpirun", "--oversubscribe", "--bind-to", "none"};
  for (std::size_t i = 0; i < places.size(); ++i) {
    const fs::path checkpoints = places[i] / "checkpoints";
    Run({}, 20, "adam",
        {"--checkpoint-dir", checkpoints.string(), "--shards", std::to_string(i + 1)});
    if (i > 0) command.push_back(":");
    command.insert(command.end(), {"-np", "1", "-wdir", places[i].string()});
    for (const auto& part : testing::WorkerCommandLine(0, Arguments({}, 31, "adam"))) {
      command.push_back(part);
    }
    command.insert(command.end(), resumed.begin(), resumed.end());
  }
  const CommandResult result = testing::RunCommand(command);
  EXPECT_EQ(result.exit_code, 2) << result.err;
  EXPECT_THAT(result.err, AllOf(HasSubstr((places[1] / "checkpoints").string()),
                                HasSubstr("must be on a file system that all workers share")));
  for (const fs::path& place : places) {
    EXPECT_TRUE(fs::exists(place / "checkpoints" / "step-000000000020-epoch-1" / "manifest.json"));
  }
}

TEST_F(ResumeTest, AnotherProgramReadsACheckpointByItsFormats) {
  const char* const source = std::getenv("DCN_SOURCE_DIR");
  ASSERT_NE(source, nullptr) << "run this test through ctest, which sets DCN_SOURCE_DIR";
  const std::string output = folder_.path() / "out";
  Run({}, 12, "adam", WithCheckpoints({"--shards", "2", "--output", output}));
  const CommandResult read = testing::RunCommand(
      {"python3", std::string(source) + "/tests/worker/checkpoint/read_checkpoint.py",
       checkpoints() / "step-000000000012-epoch-1", output});
  if (read.exit_code == 77 || read.exit_code == 127) {
    GTEST_SKIP() << "python3 with numpy is not installed, so no other program reads the files";
  }
  EXPECT_EQ(read.exit_code, 0) << read.err;
  EXPECT_THAT(read.out, HasSubstr(" are the same"));
}

TEST_F(ResumeTest, AServerThatMayNotWriteWhereTheCheckpointsGoIsNamedBeforeTheFirstStep) {
  const std::string elsewhere = folder_.path() / "elsewhere";
  fs::create_directory(elsewhere);
  const std::vector<std::pair<std::vector<std::string>, std::string>> roots = {
      {{}, "this server writes no checkpoints: start it with --checkpoint-root"},
      {{"--checkpoint-root", elsewhere}, "does not lie in this server's --checkpoint-root"}};
  for (const auto& [root, text] : roots) {
    const ServerProcess server(folder_.path(), "server", root);
    std::vector<std::string> arguments = Arguments({}, 12, "adam");
    for (const auto& more : WithCheckpoints({"--servers", server.address()})) {
      arguments.push_back(more);
    }
    const CommandResult result = testing::RunCommand(testing::WorkerCommandLine(0, arguments));
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_THAT(result.err, AllOf(HasSubstr(server.address()), HasSubstr(text),
                                  HasSubstr(checkpoints().string())));
    EXPECT_THAT(result.err, Not(HasSubstr("step 12/12")));
  }
}

}  // namespace
}  // namespace dcn
