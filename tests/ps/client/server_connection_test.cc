// A server that is silent, slow, or gone, as a rank's connection finds it out.

#include "ps/client/server_connection.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/ps/client/remote_job.h"
#include "tests/testing/tcp_proxy.h"

namespace dcn::ps {
namespace {

using namespace std::chrono_literals;
using dcn::testing::Direction;
using dcn::testing::FrameFate;
using dcn::testing::ProxiedFrame;
using dcn::testing::TcpProxy;
using ::testing::AllOf;
using testing::ConnectionOptions;
using ::testing::HasSubstr;
using testing::RemoteJob;
using testing::StartServer;
using Clock = std::chrono::steady_clock;

// Times that fit a test: a peer is dead after at most 350 ms.
constexpr net::Heartbeat kHeartbeat = {.interval = 50ms, .silence = 300ms};

const std::vector<TableDefinition> kTables = {{"a", 8, {.seed = 1}, SgdOptions{}}};

// Heartbeats that pass a proxy to the server.
class HeartbeatCount {
 public:
  void Count(const ProxiedFrame& frame) {
    if (frame.type != static_cast<std::uint16_t>(MessageType::kPing)) return;
    const std::lock_guard lock(mutex_);
    ++count_;
    came_.notify_all();
  }
  // Waits for so many more.
  [[nodiscard]] bool AwaitMore(int count) {
    std::unique_lock lock(mutex_);
    const int wanted = count_ + count;
    return came_.wait_for(lock, 20s, [&] { return count_ >= wanted; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable came_;
  int count_ = 0;
};

class ServerConnectionTest : public ::testing::Test {
 protected:
  // A rank's options for a server or a proxy.
  static JobConnectionOptions Options(const std::string& address, std::uint32_t rank = 0,
                                      std::uint32_t ranks = 1) {
    JobConnectionOptions options = ConnectionOptions({address}, rank, ranks);
    options.heartbeat = kHeartbeat;
    return options;
  }

  static Status CreateTables(RemoteJob& job) { return job.clients()[0][0]->CreateTables(kTables); }
  static Status PushPull(ShardClient& shard, Step step, std::uint32_t rank = 0) {
    StartPushPull(shard, step, rank);
    return shard.Finish();
  }
  static void StartPushPull(ShardClient& shard, Step step, std::uint32_t rank = 0) {
    shard.StartPushPull(
        {.rank = rank, .step = step, .learning_rate = 0.5F, .nodes = {}, .gradients = {}}, {});
  }

  // Reads and writes 200 rows: 8 KB a message.
  static Status PullMany(ShardClient& shard) {
    const std::vector<Key> keys = ManyKeys();
    std::vector<float> values(keys.size() * 8);
    const std::vector<RowsToPull> pull = {{.table = 0, .keys = keys, .values = values}};
    shard.StartPull(pull);
    return shard.Finish();
  }
  static Status AssignMany(ShardClient& shard) {
    const std::vector<Key> keys = ManyKeys();
    return shard.Assign(0, keys, std::vector<float>(keys.size() * 8, 1.0F));
  }
  static std::vector<Key> ManyKeys() {
    std::vector<Key> keys(200);
    for (Key key = 0; key < keys.size(); ++key) keys[key] = key;
    return keys;
  }

  std::unique_ptr<Server> server_ = StartServer({.heartbeat = kHeartbeat});
};

TEST_F(ServerConnectionTest, ASilentServerIsGivenUpForGood) {
  const auto server = StartServer({.heartbeat = {.interval = 50ms, .silence = 60s}});
  std::atomic<bool> is_mute = false;
  TcpProxy proxy(server->port(), [&](const ProxiedFrame&) {
    FrameFate fate;
    fate.is_dropped = is_mute;
    return fate;
  });
  RemoteJob job({Options(proxy.address())});
  ASSERT_EQ(CreateTables(job).ToString(), "ok");
  is_mute = true;
  const auto start = Clock::now();
  const Status status = PushPull(*job.clients()[0][0], 1);
  EXPECT_GE(Clock::now() - start, 300ms);
  EXPECT_LE(Clock::now() - start, 5s) << "long before the request's deadline";
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_EQ(status.message(), "server " + proxy.address() +
                                  ", push-pull of step 1, shard 0: the server was silent for "
                                  "0.3 s");
  // Nor is it asked again.
  is_mute = false;
  EXPECT_THAT(PullMany(*job.clients()[0][0]).message(), HasSubstr("was silent for 0.3 s"));
  EXPECT_EQ(job.connection(0).traffic().reconnects, 0U);
}

TEST_F(ServerConnectionTest, AServerThatGivesUpAtTheSameTimeIsNotWaitedForAnew) {
  std::atomic<bool> is_mute = false;
  TcpProxy proxy(server_->port(), [&](const ProxiedFrame&) {
    FrameFate fate;
    fate.is_dropped = is_mute;
    return fate;
  });
  RemoteJob job({Options(proxy.address())});
  ASSERT_EQ(CreateTables(job).ToString(), "ok");
  is_mute = true;  // in both directions, for new connections, too
  const auto start = Clock::now();
  EXPECT_FALSE(PushPull(*job.clients()[0][0], 1).ok());
  EXPECT_LE(Clock::now() - start, 2s);
}

TEST_F(ServerConnectionTest, AnAnswerThatTricklesIsNoSilence) {
  std::atomic<int> trickled = 0;
  TcpProxy proxy(server_->port(), [&](const ProxiedFrame& frame) {
    FrameFate fate;
    if (frame.direction == Direction::kToServer || frame.bytes < 5000) return fate;
    ++trickled;
    fate.piece_bytes = 100;  // 7 KB: more than a second
    fate.pause = 20ms;
    return fate;
  });
  RemoteJob job({Options(proxy.address())});
  ASSERT_EQ(CreateTables(job).ToString(), "ok");
  EXPECT_EQ(PullMany(*job.clients()[0][0]).ToString(), "ok");
  EXPECT_EQ(trickled, 1);
  EXPECT_EQ(job.connection(0).traffic().reconnects, 0U);
}

TEST_F(ServerConnectionTest, ARequestThatTricklesIsNoSilence) {
  std::atomic<int> trickled = 0;
  TcpProxy proxy(server_->port(), [&](const ProxiedFrame& frame) {
    FrameFate fate;
    if (frame.direction == Direction::kToClient || frame.bytes < 5000) return fate;
    ++trickled;
    fate.piece_bytes = 100;
    fate.pause = 20ms;
    return fate;
  });
  RemoteJob job({Options(proxy.address())});
  ASSERT_EQ(CreateTables(job).ToString(), "ok");
  EXPECT_EQ(AssignMany(*job.clients()[0][0]).ToString(), "ok");
  EXPECT_EQ(trickled, 1);
  EXPECT_EQ(job.connection(0).traffic().reconnects, 0U);
}

TEST_F(ServerConnectionTest, AWaitForOtherRanksIsNoSilence) {
  HeartbeatCount heartbeats;
  TcpProxy proxy(server_->port(), [&](const ProxiedFrame& frame) {
    heartbeats.Count(frame);
    return FrameFate();
  });
  RemoteJob job({Options(proxy.address(), 0, 2), Options(server_->address(), 1, 2)});
  ASSERT_EQ(CreateTables(job).ToString(), "ok");
  StartPushPull(*job.clients()[0][0], 1);
  ASSERT_TRUE(heartbeats.AwaitMore(20)) << "three times what a silent one is given";
  EXPECT_EQ(PushPull(*job.clients()[1][0], 1, 1).ToString(), "ok");
  EXPECT_EQ(job.clients()[0][0]->Finish().ToString(), "ok");
}

TEST_F(ServerConnectionTest, HeartbeatsLeaveNothingBehind) {
  HeartbeatCount heartbeats;
  TcpProxy proxy(server_->port(), [&](const ProxiedFrame& frame) {
    heartbeats.Count(frame);
    return FrameFate();
  });
  RemoteJob job({Options(proxy.address())});
  ASSERT_EQ(CreateTables(job).ToString(), "ok");
  const Traffic before = job.connection(0).traffic();
  ASSERT_TRUE(heartbeats.AwaitMore(10));
  const Traffic after = job.connection(0).traffic();
  EXPECT_EQ(*job.connection(0).CountPending(), 0U);
  EXPECT_EQ(after.bytes_sent, before.bytes_sent);
  EXPECT_EQ(after.bytes_received, before.bytes_received);
  // They go on after a cut.
  proxy.CutAll();
  EXPECT_EQ(PushPull(*job.clients()[0][0], 1).ToString(), "ok");
  ASSERT_TRUE(heartbeats.AwaitMore(10));
  EXPECT_EQ(PushPull(*job.clients()[0][0], 2).ToString(), "ok");
  EXPECT_EQ(job.connection(0).traffic().reconnects, 1U);
}

TEST_F(ServerConnectionTest, AServerThatIsGoneIsFoundOutWithinASecond) {
  std::vector<std::chrono::milliseconds> times;
  for (int round = 0; round < 5; ++round) {
    auto server = StartServer();
    const std::string address = server->address();
    RemoteJob job({ConnectionOptions({address})});
    ASSERT_EQ(CreateTables(job).ToString(), "ok");
    const auto start = Clock::now();
    server.reset();
    const Status status = PushPull(*job.clients()[0][0], 1);
    times.push_back(std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start));
    EXPECT_EQ(status.code(), StatusCode::kUnavailable);
    EXPECT_THAT(status.message(),
                AllOf(HasSubstr("server " + address), HasSubstr("connection was lost"),
                      HasSubstr("nobody has listened there for 500 ms")));
  }
  std::ranges::sort(times);
  fmt::print("a server that is gone was found out after {} ms (median of 5, most {} ms)\n",
             times[2].count(), times[4].count());
  EXPECT_LT(times[2], 1s);
}

TEST_F(ServerConnectionTest, AServerThatIsGoneFromWhereItWasIsNotLookedForElsewhere) {
  auto server = StartServer();
  TcpProxy mute(server->port(), [](const ProxiedFrame&) {
    FrameFate fate;
    fate.is_dropped = true;  // an attempt here takes a second
    return fate;
  });
  JobConnectionOptions options = ConnectionOptions({server->address()});
  options.servers[0].addresses.push_back(mute.address());
  RemoteJob job({options});
  ASSERT_EQ(CreateTables(job).ToString(), "ok");
  const auto start = Clock::now();
  server.reset();
  EXPECT_THAT(PushPull(*job.clients()[0][0], 1).message(), HasSubstr("nobody has listened there"));
  EXPECT_LT(Clock::now() - start, 1s);
}

TEST_F(ServerConnectionTest, ANetworkThatIsCutForLongerThanThatIsWaitedFor) {
  const auto server = StartServer();
  TcpProxy proxy(server->port());
  RemoteJob job({ConnectionOptions({proxy.address()})});  // connections 1 and 2
  ASSERT_EQ(CreateTables(job).ToString(), "ok");
  std::uint16_t dead = 0;
  {
    const auto other = StartServer();
    dead = other->port();
  }
  // From now on connections are accepted and closed: after 10, 20, 40, … ms another one is tried.
  proxy.set_target(dead);
  const auto start = Clock::now();
  proxy.CutAll();
  ASSERT_TRUE(proxy.AwaitConnections(2 + 7));
  EXPECT_GT(Clock::now() - start, 500ms);
  proxy.set_target(server->port());
  EXPECT_EQ(PushPull(*job.clients()[0][0], 1).ToString(), "ok");
  EXPECT_EQ(job.connection(0).traffic().reconnects, 1U);
}

}  // namespace
}  // namespace dcn::ps
