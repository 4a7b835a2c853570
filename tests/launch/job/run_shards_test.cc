// How long ranks wait for one another around the shards, and who gets to those that they host.
// Whole runs are tests/launch/main's.

#include "launch/job/run_shards.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "common/net/address.h"
#include "ps/server/server.h"
#include "tests/ps/server/raw_client.h"
#include "tests/testing/rank_threads.h"
#include "worker/communicator/local.h"

namespace dcn::job {
namespace {

using namespace std::chrono_literals;
using ps::testing::RawClient;
using std::chrono::milliseconds;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Lt;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::SizeIs;

// One rank that keeps what it is told.
class RecordingRanks final : public JobRanks {
 public:
  comm::Communicator& communicator() override { return communicator_; }
  void SetTimeout(milliseconds timeout) override { timeout_ = timeout; }
  void SetWatch(std::function<Status()> watch) override {
    if (!watch) timeouts_unwatched_.push_back(timeout_);
  }
  [[nodiscard]] std::string mpi_version() const override { return {}; }

  [[nodiscard]] milliseconds timeout() const { return timeout_; }
  /// Of each time when it was told to watch no more.
  [[nodiscard]] const std::vector<milliseconds>& timeouts_unwatched() const {
    return timeouts_unwatched_;
  }

 private:
  comm::SingleCommunicator communicator_;
  milliseconds timeout_ = kPatience;
  std::vector<milliseconds> timeouts_unwatched_;
};

TEST(RunShardsTest, RanksWaitForLongOnlyWhileHeartbeatsWatchTheOthers) {
  auto server = ps::Server::Start({.listen = "127.0.0.1:0", .is_hosted = true});
  ASSERT_TRUE(server.ok()) << server.status().ToString();
  RecordingRanks ranks;
  const std::vector<Host> hosts = {DescribeHost()};
  const std::vector<ps::TableDefinition> tables = {{"a", 2, {.seed = 1}, ps::SgdOptions{}}};
  ShardOptions options;
  options.servers = {(*server)->address()};
  options.job = "job";
  options.raise_epoch = [](std::uint64_t seen) { return seen + 1; };
  options.request_timeout = 10s;
  {
    auto shards = RunShards::Open(options, tables, hosts, ranks);
    ASSERT_TRUE(shards.ok()) << shards.status().ToString();
    EXPECT_EQ(ranks.timeout(), 10s);
    const Status closed = (*shards)->Close();
    EXPECT_TRUE(closed.ok()) << closed.ToString();
    // What other ranks may take to end the job, each of them with its requests' timeout; no more.
    EXPECT_GT(ranks.timeout(), 2 * options.request_timeout);
    EXPECT_LE(ranks.timeout(), 2 * options.request_timeout + 30s);
  }
  EXPECT_THAT(ranks.timeouts_unwatched(), SizeIs(2));
  EXPECT_THAT(ranks.timeouts_unwatched(), Each(Lt(milliseconds(kPatience))));
}

// What came from each rank in the last exchange of a purpose.
using Heard = std::map<std::string, std::vector<std::string>, std::less<>>;

// Hands exchanges on, and keeps what came.
class OverheardCommunicator final : public comm::Communicator {
 public:
  explicit OverheardCommunicator(comm::Communicator& below) : below_(below) {}

  [[nodiscard]] int rank() const override { return below_.rank(); }
  [[nodiscard]] int size() const override { return below_.size(); }
  [[nodiscard]] Status Exchange(std::span<const comm::SendPiece> send,
                                std::span<const comm::ReceivePiece> receive,
                                std::string_view what) override {
    const Status status = below_.Exchange(send, receive, what);
    std::vector<std::string>& texts = heard_[std::string(what)];
    texts.clear();
    for (const comm::ReceivePiece& piece : receive) {
      texts.emplace_back(reinterpret_cast<const char*>(piece.data()), piece.size());
    }
    return status;
  }
  void Abort(int exit_code) override { below_.Abort(exit_code); }
  [[nodiscard]] std::uint64_t bytes_sent() const override { return below_.bytes_sent(); }
  [[nodiscard]] std::uint64_t bytes_received() const override { return below_.bytes_received(); }

  [[nodiscard]] const Heard& heard() const { return heard_; }

 private:
  comm::Communicator& below_;
  Heard heard_;
};

class OverheardRanks final : public JobRanks {
 public:
  explicit OverheardRanks(comm::Communicator& below) : communicator_(below) {}
  comm::Communicator& communicator() override { return communicator_; }
  void SetTimeout(milliseconds /*timeout*/) override {}
  void SetWatch(std::function<Status()> /*watch*/) override {}
  [[nodiscard]] std::string mpi_version() const override { return {}; }
  [[nodiscard]] const Heard& heard() const { return communicator_.heard(); }

 private:
  OverheardCommunicator communicator_;
};

// A job whose ranks host its shards, as an outsider would like to know it.
struct HostedJob {
  std::string token;
  std::vector<std::uint16_t> ports;  // of each rank's server
};

// Calls body while two ranks host the shards of a job, which must come to its end unharmed.
void HostShards(const std::function<void(const HostedJob&)>& body) {
  comm::LocalGroup group(2, 30s);
  const std::vector<Host> hosts = {DescribeHost(), DescribeHost()};
  const std::vector<ps::TableDefinition> tables = {{"a", 2, {.seed = 1}, ps::SgdOptions{}}};
  testing::RunRanks(2, [&](int rank) {
    OverheardRanks ranks(group.communicator(rank));
    ShardOptions options;
    options.job = "job";
    options.raise_epoch = [](std::uint64_t seen) { return seen + 1; };
    auto shards = RunShards::Open(options, tables, hosts, ranks);
    if (!shards.ok()) throw std::runtime_error(shards.status().ToString());
    if (rank == 0) {
      HostedJob job;
      job.token = ranks.heard().at("sharing the job's token").at(0);
      for (const std::string& place : ranks.heard().at("sharing the servers' addresses")) {
        const std::string address = nlohmann::json::parse(place).at("addresses").at(0);
        job.ports.push_back(net::ParseAddress(address).value().port);
      }
      body(job);
    }
    const Status closed = (*shards)->Close();
    if (!closed.ok()) throw std::runtime_error(closed.ToString());
  });
}

Result<ps::Welcome> SayHello(std::uint16_t port, ps::Role role, const std::string& token) {
  RawClient client(port);
  const auto answer = client.SayHello(
      {.role = role, .rank = 0, .ranks = 2, .job = "job", .token = token}, /*epoch=*/1);
  if (!answer.ok()) {
    EXPECT_TRUE(client.IsClosedByServer());
  }
  return answer;
}

TEST(RunShardsTest, StrangersAreRefusedAtTheShardsThatRanksHost) {
  HostShards([](const HostedJob& job) {
    EXPECT_THAT(job.token, MatchesRegex("[0-9a-f]+"));
    EXPECT_THAT(job.token, SizeIs(32));
    std::string wrong = job.token;
    wrong.back() = wrong.back() == '0' ? '1' : '0';
    ASSERT_THAT(job.ports, SizeIs(2));
    for (const std::uint16_t port : job.ports) {
      for (const std::string& token :
           {std::string(), wrong, job.token.substr(1), job.token + "0"}) {
        for (const ps::Role role : {ps::Role::kWorker, ps::Role::kObserver}) {
          const auto answer = SayHello(port, role, token);
          EXPECT_EQ(answer.status().code(), StatusCode::kInvalidArgument) << token;
          EXPECT_THAT(answer.status().message(), HasSubstr("token is missing or wrong"));
          EXPECT_THAT(answer.status().message(), Not(HasSubstr(job.token)));
        }
      }
      // One that asks for rows without a hello.
      RawClient silent(port);
      silent.Send(ps::MessageType::kPull);
      EXPECT_TRUE(silent.IsClosedByServer());
      // It is the token that they lacked.
      EXPECT_TRUE(SayHello(port, ps::Role::kObserver, job.token).ok());
    }
  });
}

TEST(RunShardsTest, EveryJobDrawsATokenOfItsOwn) {
  HostShards([](const HostedJob& one) {
    HostShards([&one](const HostedJob& other) {
      EXPECT_NE(one.token, other.token);
      for (const std::uint16_t port : other.ports) {
        EXPECT_EQ(SayHello(port, ps::Role::kObserver, one.token).status().code(),
                  StatusCode::kInvalidArgument);
      }
    });
  });
}

}  // namespace
}  // namespace dcn::job
