// Ranks that live, are slow or fall silent, as the server sees their connections.

#include "ps/server/server_session.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "common/net/frame.h"
#include "ps/server/server.h"
#include "tests/ps/client/remote_job.h"
#include "tests/ps/server/raw_client.h"

namespace dcn::ps {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using testing::ConnectionOptions;
using ::testing::HasSubstr;
using testing::MakeConnection;
using testing::RawClient;
using testing::StartServer;
using Clock = std::chrono::steady_clock;

// Times that fit a test: a peer is dead after at most 350 ms.
constexpr net::Heartbeat kHeartbeat = {.interval = 50ms, .silence = 300ms};

const std::vector<TableDefinition> kTables = {{"a", 2, {.seed = 1}, SgdOptions{}}};

class ServerSessionTest : public ::testing::Test {
 protected:
  static Hello Worker(std::uint32_t rank, std::uint32_t ranks) {
    return {.role = Role::kWorker, .rank = rank, .ranks = ranks, .job = "x", .token = {}};
  }
  // A rank that sends heartbeats.
  std::unique_ptr<JobConnection> ConnectAlive(std::uint32_t rank, std::uint32_t ranks,
                                              std::uint64_t epoch = 1) {
    JobConnectionOptions options = ConnectionOptions({server_->address()}, rank, ranks);
    options.heartbeat = kHeartbeat;
    auto connection = MakeConnection(options);
    const Status connected = connection->Connect(epoch);
    if (!connected.ok()) throw std::runtime_error(connected.ToString());
    return connection;
  }

  nlohmann::json ServerStatus() { return nlohmann::json::parse(server_->StatusText().value()); }
  // Until the server has run for so much longer.
  void AwaitUptime(double seconds) {
    const double end = ServerStatus()["uptime_seconds"].get<double>() + seconds;
    while (ServerStatus()["uptime_seconds"] < end) std::this_thread::sleep_for(5ms);
  }

  std::unique_ptr<Server> server_ = StartServer({.heartbeat = kHeartbeat});
};

TEST_F(ServerSessionTest, ARankThatFallsSilentEndsTheOthersByName) {
  const auto alive = ConnectAlive(0, 2);
  const auto shards = alive->MakeShards(0);
  ASSERT_EQ(shards[0]->CreateTables(kTables).ToString(), "ok");
  RawClient silent(server_->port());
  ASSERT_TRUE(silent.SayHello(Worker(1, 2), 1).ok());
  const auto start = Clock::now();
  shards[0]->StartPushPull(
      {.rank = 0, .step = 1, .learning_rate = 0.5F, .nodes = {}, .gradients = {}}, {});
  const Status status = shards[0]->Finish();
  EXPECT_GE(Clock::now() - start, 250ms);
  EXPECT_LE(Clock::now() - start, 2500ms) << "there is no grace of 3 s";
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_THAT(status.message(),
              HasSubstr("rank 1 of job 'x' was lost: it was silent for 0.3 s (epoch 1)"));
  EXPECT_EQ(ServerStatus()["job"]["state"], "broken");
  EXPECT_EQ(ServerStatus()["refused"]["silent"], 1);
}

TEST_F(ServerSessionTest, ARankThatWakesUpCannotWrite) {
  const auto alive = ConnectAlive(0, 2);
  ASSERT_EQ(alive->MakeShards(0)[0]->CreateTables(kTables).ToString(), "ok");
  RawClient silent(server_->port());
  ASSERT_TRUE(silent.SayHello(Worker(1, 2), 1).ok());
  EXPECT_TRUE(silent.IsClosedByServer());

  // What it had to say, on a connection that is gone; then it comes back.
  silent.SendBytes(std::vector<std::byte>(100));
  RawClient woken(server_->port());
  const auto refused = woken.SayHello(Worker(1, 2), 1);
  EXPECT_EQ(refused.status().code(), StatusCode::kUnavailable);
  EXPECT_THAT(refused.status().message(), HasSubstr("it was silent for 0.3 s"));
  EXPECT_TRUE(woken.IsClosedByServer());

  const auto next = ConnectAlive(0, 2, 2);
  RawClient late(server_->port());
  EXPECT_EQ(late.SayHello(Worker(1, 2), 1).status().message(),
            "epoch 1 of job 'x' is over: epoch 2 is running");
}

TEST_F(ServerSessionTest, AFrameThatTricklesInKeepsItsRankAlive) {
  RawClient slow(server_->port());
  ASSERT_TRUE(slow.SayHello(Worker(0, 1), 1).ok());
  const auto header = net::EncodeFrameHeader(
      {.type = static_cast<std::uint16_t>(MessageType::kPing), .request_id = 7, .job_epoch = 1},
      {});
  for (const std::byte& byte : header) {  // for a second
    slow.SendBytes(std::span(&byte, 1));
    std::this_thread::sleep_for(20ms);
  }
  const RawClient::Answer answer = slow.Receive();
  EXPECT_EQ(answer.type, MessageType::kPong);
  EXPECT_EQ(answer.id, 7U);
}

TEST_F(ServerSessionTest, SendsHeartbeatsByItself) {
  const auto server = StartServer({.heartbeat = {.interval = 20ms, .silence = 60s}});
  RawClient worker(server->port());
  ASSERT_TRUE(worker.SayHello(Worker(0, 1), 3).ok());
  for (int i = 0; i < 10; ++i) {
    const RawClient::Answer heartbeat = worker.ReceiveAny();
    EXPECT_EQ(heartbeat.type, MessageType::kPong);
    EXPECT_EQ(heartbeat.id, kHeartbeatId);
    EXPECT_TRUE(heartbeat.body.empty());
  }
}

TEST_F(ServerSessionTest, ObserversOweNothing) {
  RawClient observer(server_->port());
  ASSERT_TRUE(
      observer.SayHello({.role = Role::kObserver, .rank = 0, .ranks = 1, .job = {}, .token = {}}, 0)
          .ok());
  AwaitUptime(1.0);
  EXPECT_EQ(observer.Ask(MessageType::kPing).type, MessageType::kPong);
}

TEST_F(ServerSessionTest, ARankInTheServersProcessIsNeverSilent) {
  const auto hosted = server_->ConnectLocal(Worker(0, 2), 1);
  ASSERT_TRUE(hosted.ok());
  const auto remote = ConnectAlive(1, 2);
  AwaitUptime(1.0);
  EXPECT_EQ(ServerStatus()["job"]["state"], "running");
  EXPECT_EQ(ServerStatus()["job"]["connected"], 2);
}

TEST_F(ServerSessionTest, TheStatusNamesARankThatIsQuietBeforeItIsDead) {
  const auto server = StartServer({.heartbeat = {.interval = 20ms, .silence = 60s}});
  RawClient quiet(server->port());
  ASSERT_TRUE(quiet.SayHello(Worker(1, 2), 1).ok());
  nlohmann::json named;
  const auto deadline = Clock::now() + 10s;
  while (named.empty() && Clock::now() < deadline) {
    named = nlohmann::json::parse(server->StatusText().value())["job"]["quiet"];
  }
  ASSERT_EQ(named.size(), 1U);
  EXPECT_EQ(named[0]["rank"], 1);
  EXPECT_GE(named[0]["seconds"], 0.04);
}

TEST_F(ServerSessionTest, HeartbeatsAreNotCountedAsRequests) {
  const auto alive = ConnectAlive(0, 1);
  AwaitUptime(0.5);
  EXPECT_EQ(ServerStatus()["requests"], 0);
  EXPECT_EQ(ServerStatus()["job"]["state"], "running");
}

}  // namespace
}  // namespace dcn::ps
