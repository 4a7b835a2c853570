// Processes that stop running, vanish or are slow: who finds it out, how soon, and what the stopped
// one can do once it runs again. Prints the times that it measured.
//
// DCN_FAULT_ROUNDS=100: so often a server is stopped (4) and killed (10).

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fault/measured_times.h"
#include "tests/fault/repeat_command.h"
#include "tests/ps/client/remote_job.h"
#include "tests/testing/checkpointed_run.h"
#include "tests/testing/command.h"
#include "tests/testing/distributed_run.h"
#include "tests/testing/rank_threads.h"
#include "tests/testing/server_process.h"
#include "tests/testing/tcp_proxy.h"
#include "tests/testing/temporary_folder.h"

namespace dcn {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using ps::testing::ConnectionOptions;
using ps::testing::RemoteJob;
using ::testing::AllOf;
using testing::Direction;
using testing::FrameFate;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::ProxiedFrame;
using testing::ReadText;
using testing::RunningCommand;
using testing::ServerProcess;
using testing::TcpProxy;
using Clock = std::chrono::steady_clock;

const std::vector<ps::TableDefinition> kTables = {{"a", 8, {.seed = 1}, ps::SgdOptions{}}};
// A stopped process is found out within these.
constexpr double kSilentFrom = 5;
constexpr double kSilentTo = 6;
constexpr double kClosedTo = 1;
constexpr Clock::duration kStoppedFor = 20s;

double Seconds(Clock::duration time) { return std::chrono::duration<double>(time).count(); }

Status PushPull(ps::ShardClient& shard, ps::Step step) {
  shard.StartPushPull(
      {.rank = 0, .step = step, .learning_rate = 0.5F, .nodes = {}, .gradients = {}}, {});
  return shard.Finish();
}

std::string StatusText(const ServerProcess& server) {
  return testing::RunCommand({testing::BuiltProgram("dcn_ps"), "--status", server.address()}).out;
}

// The lines about shards: steps, rows, what was pushed.
std::string ShardLines(const ServerProcess& server) {
  const std::string status = StatusText(server);
  return status.substr(std::min(status.size(), status.find("shard      step")));
}

bool Trains(const ServerProcess& server) {
  const std::string lines = ShardLines(server);
  return lines.find("\n    0         0") == std::string::npos &&
         lines.find("\n    0 ") != std::string::npos;
}

// Waits until `is_so`; fails the test after 60 s.
template <typename IsSo>
void Await(const std::string& what, IsSo is_so, Clock::duration pause = 5ms) {
  const auto deadline = Clock::now() + 60s;
  while (!is_so()) {
    if (Clock::now() > deadline) FAIL() << what << " did not come to pass";
    std::this_thread::sleep_for(pause);
  }
}

// Every file below `folder`, by its path there.
std::map<std::string, std::string> FilesIn(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    files[fs::relative(entry.path(), folder)] =
        entry.is_regular_file() ? ReadText(entry.path()) : "(no file)";
  }
  return files;
}

// The newest checkpoint's folder, where it is not finished; else nothing. While a run goes on: what
// has just vanished is passed over.
std::optional<fs::path> CheckpointUnderWay(const fs::path& checkpoints) {
  fs::path newest;  // the steps in the names have leading zeros
  std::error_code error;
  for (fs::directory_iterator entry(checkpoints, error);
       !error && entry != fs::directory_iterator(); entry.increment(error)) {
    if (!entry->path().filename().string().starts_with("step-")) continue;
    newest = std::max(newest, entry->path());
  }
  if (newest.empty() || !fs::exists(newest, error)) return std::nullopt;
  if (fs::exists(newest / "manifest.json", error)) return std::nullopt;
  return newest;
}

class StoppedProcess : public ::testing::Test {
 protected:
  // Named "server" where there is one only.
  std::unique_ptr<ServerProcess> StartServer(const std::string& name = "server",
                                             const std::vector<std::string>& arguments = {}) {
    return std::make_unique<ServerProcess>(folder_.path(), name, arguments);
  }

  // So many rounds, a few at once, each with a server and a client of its own, which has trained
  // up to somewhere between two heartbeats. Returns what `body` gives for each.
  std::vector<double> InRounds(
      std::uint64_t rounds,
      const std::function<double(ServerProcess& server, const std::function<Status()>& step)>&
          body) {
    constexpr std::uint64_t kAtOnce = 5;
    std::mt19937_64 random(testing::Seed());
    std::vector<double> results;
    while (results.size() < rounds) {
      const std::uint64_t count = std::min(kAtOnce, rounds - results.size());
      std::vector<std::unique_ptr<ServerProcess>> servers;
      std::vector<Clock::duration> training;
      for (std::uint64_t i = 0; i < count; ++i) {
        servers.push_back(StartServer(fmt::format("server-{}", i)));
        training.push_back(std::chrono::milliseconds(random() % 1000));
      }
      std::vector<double> some(count);
      testing::RunRanks(static_cast<int>(count), [&](int number) {
        const auto i = static_cast<std::size_t>(number);
        RemoteJob job({ConnectionOptions({servers[i]->address()})});
        ps::ShardClient& shard = *job.clients()[0][0];
        ASSERT_EQ(shard.CreateTables(kTables).ToString(), "ok");
        ps::Step steps = 0;
        const std::function<Status()> step = [&] { return PushPull(shard, ++steps); };
        const auto until = Clock::now() + training[i];
        while (Clock::now() < until) ASSERT_EQ(step().ToString(), "ok");
        some[i] = body(*servers[i], step);
      });
      results.insert(results.end(), some.begin(), some.end());
    }
    return results;
  }

  void StopAWorker();
  void StopAServer();

  const testing::StolenTime stolen_;
  testing::TemporaryFolder folder_;
};

TEST_F(StoppedProcess, AStoppedServerIsFoundOutByItsSilence) {
  const auto times = InRounds(
      testing::NumberFrom("DCN_FAULT_ROUNDS", 4), [](ServerProcess& server, const auto& step) {
        const auto start = Clock::now();
        server.Signal(SIGSTOP);
        Status status;
        while (status.ok()) status = step();  // the first one may have been answered already
        const double took = Seconds(Clock::now() - start);
        EXPECT_EQ(status.code(), StatusCode::kUnavailable);
        EXPECT_THAT(status.message(),
                    AllOf(HasSubstr("server " + server.address()), HasSubstr("silent for 5 s")));
        server.Signal(SIGCONT);
        return took;
      });
  testing::PrintTimes("a stopped server was found out", times, stolen_);
  EXPECT_GE(*std::ranges::min_element(times), kSilentFrom);
  EXPECT_LE(testing::Percentile(times, 0.99), kSilentTo);
}

TEST_F(StoppedProcess, AKilledServerIsFoundOutWithinASecond) {
  const auto times = InRounds(
      testing::NumberFrom("DCN_FAULT_ROUNDS", 10), [](ServerProcess& server, const auto& step) {
        const auto start = Clock::now();
        server.Signal(SIGKILL);
        Status status;
        while (status.ok()) status = step();
        const double took = Seconds(Clock::now() - start);
        EXPECT_EQ(status.code(), StatusCode::kUnavailable);
        EXPECT_THAT(status.message(), HasSubstr("server " + server.address()));
        return took;
      });
  testing::PrintTimes("a killed server was found out", times, stolen_);
  EXPECT_LT(testing::Percentile(times, 0.99), kClosedTo);
}

// The server gives the rank up; what it sends when it runs again is refused.
void StoppedProcess::StopAWorker() {
  const auto server = StartServer("of-the-worker");
  const std::string log = folder_.path() / "worker.log";
  const std::string job =
      fmt::format("stopped-test-{}-{}", ::getpid(), Clock::now().time_since_epoch().count());
  RunningCommand worker(
      testing::WorkerCommandLine(
          0, {"--data", "synthetic-small", "--batch-size", "1600", "--epochs", "100000",
              "--threads", "1", "--job", job, "--servers", server->address()}),
      log);
  Await("training", [&] { return Trains(*server); });
  ASSERT_FALSE(worker.HasEnded()) << ReadText(log);

  const auto start = Clock::now();
  worker.Signal(SIGSTOP);
  Await("a quiet rank in the status", [&] {
    return StatusText(*server).find("rank 0 has been silent for") != std::string::npos;
  });
  Await("its death", [&] { return server->log().find("was lost") != std::string::npos; });
  const double took = Seconds(Clock::now() - start);
  testing::PrintTimes("a stopped worker was found out", {took}, stolen_);
  EXPECT_GE(took, kSilentFrom);
  EXPECT_LE(took, kSilentTo);
  const std::string how = "rank 0 of job '" + job + "' was lost: it was silent for 5 s (epoch 1)";
  EXPECT_THAT(server->log(), HasSubstr(how));
  EXPECT_THAT(StatusText(*server), AllOf(HasSubstr("(broken), epoch 1"), HasSubstr(how)));

  const std::string rows = ShardLines(*server);
  std::this_thread::sleep_until(start + kStoppedFor);
  worker.Signal(SIGCONT);
  const auto woken = Clock::now();
  EXPECT_EQ(worker.Wait().exit_code, 4);
  EXPECT_LE(Clock::now() - woken, 5s);
  EXPECT_THAT(ReadText(log), AllOf(HasSubstr(server->address()), HasSubstr(how)));
  EXPECT_EQ(ShardLines(*server), rows) << "it has written";
  EXPECT_THAT(rows, HasSubstr("\n    0 "));
}

// The run ends, and goes on from its checkpoint with another server, in another epoch. What the
// stopped one had under way when it runs again gets nowhere, least of all into a checkpoint.
void StoppedProcess::StopAServer() {
  const std::vector<std::string> root = {"--checkpoint-root", folder_.path(), "--shards", "1"};
  const auto kept = StartServer("kept", root);
  const auto stopped = StartServer("stopped", root);
  const auto other = StartServer("other", root);
  const fs::path checkpoints = folder_.path() / "checkpoints";
  const std::string log = folder_.path() / "run.log";
  const auto run = [&](std::uint64_t steps, const ServerProcess& second) {
    return testing::WorkerCommandLine(
        0, testing::CheckpointedRun(
               checkpoints, steps,
               {"--resume", "--servers", kept->address() + "," + second.address()}));
  };
  RunningCommand first(run(100'000, *stopped), log);
  // Between the making of a checkpoint's folder, the step that it is of, and its last file. The
  // second one, or a later one: there is one to go on from.
  Clock::time_point start;
  const auto stop_in_a_checkpoint = [&] {
    const auto under_way = CheckpointUnderWay(checkpoints);
    if (!under_way || *under_way == testing::CheckpointPath(checkpoints, 10, 1)) return false;
    start = Clock::now();
    stopped->Signal(SIGSTOP);
    if (fs::exists(*under_way) && !fs::exists(*under_way / "shard-1-of-2.safetensors")) return true;
    stopped->Signal(SIGCONT);  // it has written its part
    return false;
  };
  Await("a checkpoint under way", stop_in_a_checkpoint, 1ms);
  EXPECT_EQ(first.Wait().exit_code, 4) << ReadText(log);
  const double took = Seconds(Clock::now() - start);
  testing::PrintTimes("a run whose server was stopped ended", {took}, stolen_);
  EXPECT_GE(took, kSilentFrom);
  EXPECT_THAT(ReadText(log),
              AllOf(HasSubstr("server " + stopped->address()), HasSubstr("silent for 5 s")));

  const std::uint64_t resumed = testing::NewestStep(checkpoints);
  const auto second = testing::RunCommand(run(resumed + 20, *other));
  EXPECT_EQ(second.exit_code, 0) << second.err;
  EXPECT_THAT(second.err, HasSubstr(fmt::format("resumed from step {} of checkpoint", resumed)));
  EXPECT_EQ(testing::DigestIn(second.out), testing::OracleDigest(resumed + 20));
  const auto files = FilesIn(checkpoints);

  std::this_thread::sleep_until(start + kStoppedFor);
  EXPECT_THAT(stopped->log(), Not(HasSubstr("was lost")));
  stopped->Signal(SIGCONT);
  Await("what it makes of its client's end",
        [&] { return stopped->log().find("was lost") != std::string::npos; });
  EXPECT_THAT(StatusText(*stopped), HasSubstr("(broken), epoch 1"));
  EXPECT_TRUE(FilesIn(checkpoints) == files) << "it has written";
  EXPECT_EQ(testing::NewestStep(checkpoints), resumed + 20);
  // It serves the next epoch, for which its rows are put back to the checkpoint's.
  const auto third = testing::RunCommand(run(resumed + 30, *stopped));
  EXPECT_EQ(third.exit_code, 0) << third.err;
  EXPECT_EQ(testing::DigestIn(third.out), testing::OracleDigest(resumed + 30));
}

TEST_F(StoppedProcess, AStoppedWorkerOrServerIsDeclaredDeadAndCannotWriteAfterwards) {
  // Side by side: both are waited for.
  testing::RunRanks(2, [this](int number) { number == 0 ? StopAWorker() : StopAServer(); });
}

TEST_F(StoppedProcess, APeerThatIsSlowForLongerThanTheLimitLives) {
  // Every long frame of one direction goes through in small pieces, for more than 7 s. Both
  // directions side by side.
  testing::RunRanks(2, [this](int number) {
    const Direction slow = number == 0 ? Direction::kToServer : Direction::kToClient;
    const auto server = StartServer(fmt::format("server-{}", number));
    TcpProxy proxy(server->port(), [slow](const ProxiedFrame& frame) {
      FrameFate fate;
      if (frame.direction != slow || frame.bytes < 3000) return fate;
      fate.piece_bytes = frame.bytes / 72;
      fate.pause = 100ms;
      return fate;
    });
    RemoteJob job({ConnectionOptions({proxy.address()})});
    ps::ShardClient& shard = *job.clients()[0][0];
    ASSERT_EQ(shard.CreateTables(kTables).ToString(), "ok");
    std::vector<ps::Key> keys(100);
    for (ps::Key key = 0; key < keys.size(); ++key) keys[key] = key;
    std::vector<float> values(keys.size() * 8, 1.0F);
    const auto start = Clock::now();
    if (slow == Direction::kToServer) {
      EXPECT_EQ(shard.Assign(0, keys, values).ToString(), "ok");
    } else {
      const std::vector<ps::RowsToPull> pull = {{.table = 0, .keys = keys, .values = values}};
      shard.StartPull(pull);
      EXPECT_EQ(shard.Finish().ToString(), "ok");
    }
    fmt::print("a {} of {:.2f} s went through\n",
               slow == Direction::kToServer ? "request" : "answer", Seconds(Clock::now() - start));
    EXPECT_GT(Clock::now() - start, 7s);
    EXPECT_EQ(job.connection(0).traffic().reconnects, 0U);
    EXPECT_EQ(job.End().ToString(), "ok");
  });
}

TEST_F(StoppedProcess, APauseBelowTheLimitIsNoDeath) {
  const auto server = StartServer();
  RemoteJob job({ConnectionOptions({server->address()})});
  ps::ShardClient& shard = *job.clients()[0][0];
  ASSERT_EQ(shard.CreateTables(kTables).ToString(), "ok");
  server->Signal(SIGSTOP);
  const auto start = Clock::now();
  shard.StartPushPull({.rank = 0, .step = 1, .learning_rate = 0.5F, .nodes = {}, .gradients = {}},
                      {});
  std::this_thread::sleep_until(start + 4500ms);
  server->Signal(SIGCONT);
  EXPECT_EQ(shard.Finish().ToString(), "ok");
  EXPECT_EQ(job.End().ToString(), "ok");
}

}  // namespace
}  // namespace dcn
