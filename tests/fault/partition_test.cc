// A network that is cut between workers and a server, as real processes find it out: a short cut
// only holds the run up, a long one ends it on both sides, and a resumed run gives the parameters
// of an undisturbed one. Prints the times that it measured. Needs root, `ip` and `tc`.

#include <chrono>
#include <csignal>
#include <cstdint>
#include <memory>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/testing/command.h"
#include "tests/testing/distributed_run.h"
#include "tests/testing/process_search.h"
#include "tests/testing/server_process.h"
#include "tests/testing/split_network.h"
#include "tests/testing/temporary_folder.h"

namespace dcn {
namespace {

using namespace std::chrono_literals;
using ::testing::AnyOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::ReadText;
using testing::RunningCommand;
using testing::ServerProcess;
using testing::SplitNetwork;
using Clock = std::chrono::steady_clock;

// Some seconds of training over the network, whose rate is limited.
constexpr std::uint64_t kSteps = 150;

double Seconds(Clock::duration time) { return std::chrono::duration<double>(time).count(); }

// Whether this system can bound the pauses between retransmissions (Linux 6.15: TCP_RTO_MAX_MS).
bool BoundsRetransmissionPauses() {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int milliseconds = 1000;
  const int error = ::setsockopt(socket, IPPROTO_TCP, 44, &milliseconds, sizeof(milliseconds));
  ::close(socket);
  return error == 0;
}

class Partition : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string why_not = SplitNetwork::WhyNot();
    if (!why_not.empty()) GTEST_SKIP() << "SKIPPED: " << why_not;
    network_ = std::make_unique<SplitNetwork>();
    server_ = std::make_unique<ServerProcess>(
        folder_.path(), "server",
        std::vector<std::string>{"--insecure", "--checkpoint-root", folder_.path()},
        SplitNetwork::kServerHost + std::string(":0"),
        [this](const std::vector<std::string>& command) {
          std::vector<std::string> there = network_->AtServers();
          there.insert(there.end(), command.begin(), command.end());
          return there;
        });
  }

  ~Partition() override { EXPECT_TRUE(testing::AwaitNoProcess(job_)); }

  [[nodiscard]] std::vector<std::string> Arguments(std::uint64_t steps) const {
    return {"--data",       "synthetic-small",
            "--batch-size", "1024",
            "--slice-rows", "128",
            "--epochs",     "100000",
            "--max-steps",  std::to_string(steps),
            "--threads",    "1",
            "--job",        job_};
  }

  static std::string Oracle(const std::vector<std::string>& arguments) {
    return testing::DigestIn(
        testing::RunCommand(testing::WorkerCommandLine(0, arguments), 300s).out);
  }

  // Two workers on their side of the network, until they have taken some steps.
  void StartRun(const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = Arguments(kSteps);
    arguments.insert(arguments.end(), {"--servers", server_->address(), "--output", out_});
    arguments.insert(arguments.end(), more.begin(), more.end());
    std::vector<std::string> command = network_->AtWorkers();
    const std::vector<std::string> worker = testing::WorkerCommandLine(2, arguments);
    command.insert(command.end(), worker.begin(), worker.end());
    run_ = std::make_unique<RunningCommand>(command, log_);
  }

  [[nodiscard]] std::string StatusText() const {
    std::vector<std::string> command = network_->AtServers();
    command.insert(command.end(),
                   {testing::BuiltProgram("dcn_ps"), "--status", server_->address()});
    return testing::RunCommand(command).out;
  }

  void AwaitStep(int step) {
    Await(fmt::format("step {}", step), [&] {
      const std::string status = StatusText();
      const std::size_t shard = status.find("\n    0 ");
      return shard != std::string::npos && std::stoi(status.substr(shard + 6)) >= step;
    });
    ASSERT_FALSE(run_->HasEnded()) << ReadText(log_);
  }

  // Waits until `is_so`; fails the test after 60 s.
  template <typename IsSo>
  static void Await(const std::string& what, IsSo is_so) {
    const auto deadline = Clock::now() + 60s;
    while (!is_so()) {
      if (Clock::now() > deadline) FAIL() << what << " did not come to pass";
      std::this_thread::sleep_for(5ms);
    }
  }

  // Until the server has given a rank up, and the run has ended with the code of a lost peer: how
  // long each took since the cut.
  void ExpectBothSidesFindOut(Clock::time_point cut, Clock::duration at_most) {
    Clock::duration server_took{};
    Clock::duration workers_took{};
    Await("both sides' end", [&] {
      const auto now = Clock::now();
      const bool is_lost = server_->log().find("was lost") != std::string::npos;
      if (is_lost && server_took.count() == 0) server_took = now - cut;
      if (run_->HasEnded() && workers_took.count() == 0) workers_took = now - cut;
      return server_took.count() != 0 && workers_took.count() != 0;
    });
    fmt::print("cut off: the server gave a rank up after {:.2f} s, the run ended after {:.2f} s\n",
               Seconds(server_took), Seconds(workers_took));
    for (const Clock::duration took : {server_took, workers_took}) {
      EXPECT_GE(took, 5s);
      EXPECT_LE(took, at_most);
    }
    EXPECT_EQ(run_->Wait().exit_code, 4) << ReadText(log_);
    EXPECT_THAT(ReadText(log_), HasSubstr("server " + server_->address()));
    EXPECT_THAT(ReadText(log_), AnyOf(HasSubstr("silent for 5 s"), HasSubstr("was lost")));
    EXPECT_THAT(server_->log(), HasSubstr("of job '" + job_ + "' was lost: it was silent for 5 s"));
    EXPECT_THAT(StatusText(), HasSubstr("(broken), epoch 1"));
  }

  // The run ends well, with the parameters of an undisturbed one, and nobody was given up.
  void ExpectUndisturbed() {
    EXPECT_EQ(run_->Wait().exit_code, 0) << ReadText(log_);
    EXPECT_THAT(server_->log(), Not(HasSubstr("was lost")));
    ExpectSameParameters();
  }

  void ExpectSameParameters() {
    const auto result = nlohmann::json::parse(ReadText(out_ + "/result.json"), nullptr, false);
    ASSERT_FALSE(result.is_discarded());
    EXPECT_EQ(result["parameter_digest"], Oracle(Arguments(kSteps)));
  }

  void LoseAll(bool is_lost) {
    network_->LoseToServers(is_lost);
    network_->LoseToWorkers(is_lost);
  }

  const std::string job_ =
      fmt::format("partition-test-{}-{}", ::getpid(), Clock::now().time_since_epoch().count());
  testing::TemporaryFolder folder_;
  const std::string log_ = folder_.path() / "run.log";
  const std::string out_ = folder_.path() / "out";
  std::unique_ptr<SplitNetwork> network_;  // outlives the processes in it
  std::unique_ptr<ServerProcess> server_;
  std::unique_ptr<RunningCommand> run_;
};

TEST_F(Partition, ALinkThatIsDownForThreeSecondsOnlyHoldsTheRunUp) {
  StartRun();
  AwaitStep(10);
  const auto cut = Clock::now();
  network_->SetLink(false);
  std::this_thread::sleep_until(cut + 3s);
  network_->SetLink(true);
  fmt::print("the link was down for {:.2f} s\n", Seconds(Clock::now() - cut));
  ExpectUndisturbed();
}

TEST_F(Partition, ANetworkThatLosesEverythingForAWhileOnlyHoldsTheRunUp) {
  const bool is_bounded = BoundsRetransmissionPauses();
  if (!is_bounded) fmt::print("3 s instead of 4 s: no TCP_RTO_MAX_MS here (Linux 6.15)\n");
  StartRun();
  AwaitStep(10);
  const auto cut = Clock::now();
  LoseAll(true);
  std::this_thread::sleep_until(cut + (is_bounded ? 4s : 3s));
  LoseAll(false);
  fmt::print("all was lost for {:.2f} s\n", Seconds(Clock::now() - cut));
  ExpectUndisturbed();
}

TEST_F(Partition, ALinkThatIsDownForLongEndsTheRunWhichGoesOnFromItsCheckpoint) {
  const std::vector<std::string> checkpoints = {"--checkpoint-dir", folder_.path() / "checkpoints",
                                                "--checkpoint-every", "10", "--resume"};
  StartRun(checkpoints);
  AwaitStep(25);
  const auto cut = Clock::now();
  network_->SetLink(false);
  ExpectBothSidesFindOut(cut, 8s);
  std::this_thread::sleep_until(cut + 15s);
  network_->SetLink(true);
  StartRun(checkpoints);
  EXPECT_EQ(run_->Wait().exit_code, 0) << ReadText(log_);
  EXPECT_THAT(ReadText(log_), ContainsRegex("resumed from step [1-9]0 of checkpoint"));
  EXPECT_THAT(StatusText(), HasSubstr("(ended), epoch 2"));
  ExpectSameParameters();
}

TEST_F(Partition, ABlackHoleTowardsTheServerIsFoundOutByBothSides) {
  StartRun();
  AwaitStep(10);
  const auto cut = Clock::now();
  network_->LoseToServers(true);
  ExpectBothSidesFindOut(cut, 9s);
}

TEST_F(Partition, ABlackHoleTowardsTheWorkersIsFoundOutByBothSides) {
  StartRun();
  AwaitStep(10);
  const auto cut = Clock::now();
  network_->LoseToWorkers(true);
  ExpectBothSidesFindOut(cut, 9s);
}

}  // namespace
}  // namespace dcn
