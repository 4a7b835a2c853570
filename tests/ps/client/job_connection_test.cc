// What a rank sees of servers that are late, absent, busy, gone, or not who they were.

#include "ps/client/job_connection.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/named_thread.h"
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
using testing::MakeConnection;
using testing::RemoteJob;
using testing::ScriptTables;
using testing::StartServer;
using Clock = std::chrono::steady_clock;

// A port where nobody listens (and which nobody else is given at once).
std::string DeadAddress() { return StartServer()->address(); }

PushRequest EmptyPush(std::uint32_t rank, Step step) {
  return {.rank = rank, .step = step, .learning_rate = 0.5F, .nodes = {}, .gradients = {}};
}

Status PushPull(ShardClient& shard, std::uint32_t rank, Step step) {
  shard.StartPushPull(EmptyPush(rank, step), {});
  return shard.Finish();
}

void CreateTables(const RemoteJob& job) {
  for (ShardClient* const shard : job.clients()[0]) {
    ASSERT_EQ(shard->CreateTables(ScriptTables()).ToString(), "ok");
  }
}

Status Pull(ShardClient& shard) {
  shard.StartPull({});
  return shard.Finish();
}

TEST(JobConnectionTest, RefusesOptionsThatMakeNoSense) {
  const auto refusal = [](const JobConnectionOptions& options) {
    const auto made = JobConnection::Create(options);
    EXPECT_EQ(made.status().code(), StatusCode::kInvalidArgument);
    return made.status().message();
  };
  EXPECT_THAT(refusal(ConnectionOptions({"nonsense"})), HasSubstr("nonsense"));
  JobConnectionOptions options = ConnectionOptions({"a:1", "b:2"});
  options.servers[1].addresses.clear();
  EXPECT_THAT(refusal(options), HasSubstr("server 1"));
  options = ConnectionOptions({"a:1"});
  options.job = "";
  (void)refusal(options);
  options = ConnectionOptions({"a:1"});
  options.token = std::string(1000, 'x');
  EXPECT_THAT(refusal(options), HasSubstr("1000"));
}

TEST(JobConnectionTest, LeavesOutTheServerOfItsOwnProcess) {
  const auto first = StartServer({.shards = 2});
  const auto third = StartServer({.shards = 3});
  JobConnectionOptions options =
      ConnectionOptions({first->address(), DeadAddress(), third->address()});
  options.local_server = 1;
  const auto job = MakeConnection(options);
  ASSERT_EQ(job->Connect(1).ToString(), "ok");
  EXPECT_EQ(job->shards(0), 2U);
  EXPECT_EQ(job->shards(1), 0U);
  EXPECT_EQ(job->shards(2), 3U);
  EXPECT_EQ(job->MakeShards(0).size(), 2U);
  EXPECT_TRUE(job->MakeShards(1).empty());
  EXPECT_EQ(job->EndJob().ToString(), "ok");
}

TEST(JobConnectionTest, WorksWithoutAnyOtherServer) {
  JobConnectionOptions options = ConnectionOptions({DeadAddress()});
  options.local_server = 0;
  const auto job = MakeConnection(options);
  EXPECT_EQ(*job->QueryLastEpoch(), 0U);
  EXPECT_EQ(job->Connect(1).ToString(), "ok");
  EXPECT_EQ(job->EndJob().ToString(), "ok");
}

TEST(JobConnectionTest, FindsTheHighestEpochOfAllServers) {
  const auto first = StartServer();
  const auto second = StartServer();
  for (const auto& [server, epoch] : {std::pair(first.get(), 4U), std::pair(second.get(), 9U)}) {
    const auto job = MakeConnection(ConnectionOptions({server->address()}));
    ASSERT_EQ(job->Connect(epoch).ToString(), "ok");
    ASSERT_EQ(job->EndJob().ToString(), "ok");
  }
  const auto job = MakeConnection(ConnectionOptions({first->address(), second->address()}));
  EXPECT_EQ(*job->QueryLastEpoch(), 9U);
  EXPECT_EQ(job->Connect(10).ToString(), "ok");
}

TEST(JobConnectionTest, WaitsForAServerThatStartsLater) {
  const auto absent = StartServer();
  TcpProxy proxy(absent->port());
  ASSERT_TRUE(absent->Stop(Clock::now() + 10s).ok());
  const auto job = MakeConnection(ConnectionOptions({proxy.address()}));
  Status connected(StatusCode::kInternal, "");
  std::unique_ptr<Server> server;
  {
    const NamedThread rank(
        "rank", [&] { connected = job->Connect(1); }, [](auto) {});
    ASSERT_TRUE(proxy.AwaitConnections(3));
    server = StartServer();
    proxy.set_target(server->port());
  }
  EXPECT_EQ(connected.ToString(), "ok");
}

TEST(JobConnectionTest, NamesAServerThatIsNeverThereWithinTheTimeout) {
  const auto present = StartServer();
  const std::string absent = DeadAddress();
  JobConnectionOptions options = ConnectionOptions({present->address(), absent});
  options.connect_timeout = 300ms;
  const auto start = Clock::now();
  const Status status = MakeConnection(options)->Connect(1);
  EXPECT_LT(Clock::now() - start, 5s);
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("server " + absent), HasSubstr("within 300 ms"),
                                      HasSubstr("refused")));
  EXPECT_EQ(MakeConnection(options)->QueryLastEpoch().status().code(), StatusCode::kUnavailable);
}

TEST(JobConnectionTest, TellsWhatAServerSaidBeforeItFellSilent) {
  const auto server = StartServer();
  const auto first = MakeConnection(ConnectionOptions({server->address()}));
  ASSERT_TRUE(first->Connect(1).ok());
  TcpProxy proxy(server->port(), [](const ProxiedFrame& frame) {
    FrameFate fate;
    fate.is_dropped = frame.connection > 1;
    return fate;
  });
  JobConnectionOptions options = ConnectionOptions({proxy.address()});
  options.job = "another";
  options.connect_timeout = 1000ms;
  const Status status = MakeConnection(options)->Connect(1);
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("within 1000 ms"), HasSubstr("busy")));
}

TEST(JobConnectionTest, NamesAServerThatDoesNotAnswer) {
  const auto server = StartServer();
  TcpProxy proxy(server->port(), [](const ProxiedFrame&) {
    FrameFate fate;
    fate.is_dropped = true;
    return fate;
  });
  JobConnectionOptions options = ConnectionOptions({proxy.address()});
  options.connect_timeout = 300ms;
  const Status status = MakeConnection(options)->Connect(1);
  EXPECT_EQ(status.code(), StatusCode::kDeadlineExceeded);
  EXPECT_THAT(status.message(),
              AllOf(HasSubstr("server " + proxy.address()), HasSubstr("no answer")));
}

TEST(JobConnectionTest, AWrongTokenIsRefusedAtOnce) {
  const auto server = StartServer({.token = "sesame"});
  JobConnectionOptions options = ConnectionOptions({server->address()});
  options.token = "guess";
  options.connect_timeout = 100s;
  const auto start = Clock::now();
  const Status status = MakeConnection(options)->Connect(1);
  EXPECT_LT(Clock::now() - start, 50s);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), AllOf(HasSubstr(server->address()), HasSubstr("token")));
  options.token = "sesame";
  EXPECT_EQ(MakeConnection(options)->Connect(1).ToString(), "ok");
}

TEST(JobConnectionTest, ABusyServerIsWaitedForAndNamedInTheEnd) {
  const auto server = StartServer();
  TcpProxy proxy(server->port());
  const auto first = MakeConnection(ConnectionOptions({server->address()}));
  ASSERT_EQ(first->Connect(1).ToString(), "ok");
  JobConnectionOptions options = ConnectionOptions({proxy.address()});
  options.job = "y";
  options.connect_timeout = 200ms;
  const Status busy = MakeConnection(options)->Connect(2);
  EXPECT_EQ(busy.code(), StatusCode::kUnavailable);
  EXPECT_THAT(busy.message(), AllOf(HasSubstr("busy with job 'x'"), HasSubstr("within 200 ms")));

  options.connect_timeout = 60s;
  const auto second = MakeConnection(options);
  Status connected(StatusCode::kInternal, "");
  {
    const NamedThread rank(
        "rank", [&] { connected = second->Connect(2); }, [](auto) {});
    ASSERT_EQ(first->EndJob().ToString(), "ok");
  }
  EXPECT_EQ(connected.ToString(), "ok");
}

TEST(JobConnectionTest, OneServerUnderTwoNamesIsRefused) {
  const auto server = StartServer();
  const std::string again = "localhost:" + std::to_string(server->port());
  const auto job = MakeConnection(ConnectionOptions({server->address(), again}));
  for (const Status& status : {job->QueryLastEpoch().status(), job->Connect(1)}) {
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(status.message(), AllOf(HasSubstr(server->address()), HasSubstr(again)));
  }
}

TEST(JobConnectionTest, TriesAllAddressesAndTakesTheServerThatIsMeant) {
  const auto other = StartServer();
  const auto meant = StartServer();
  JobConnectionOptions options = ConnectionOptions({DeadAddress()});
  options.servers[0].addresses.push_back(other->address());
  options.servers[0].addresses.push_back(meant->address());
  options.servers[0].incarnation = meant->incarnation();
  const auto job = MakeConnection(options);
  ASSERT_EQ(job->Connect(1).ToString(), "ok");
  EXPECT_TRUE(*meant->IsJobHeld());
  EXPECT_FALSE(*other->IsJobHeld());
}

TEST(JobConnectionTest, ANameOfAHostIsLookedUp) {
  const auto server = StartServer();
  const std::string port = std::to_string(server->port());
  const auto job = MakeConnection(ConnectionOptions({"localhost:" + port}));
  EXPECT_EQ(job->Connect(1).ToString(), "ok");
}

TEST(JobConnectionTest, AServerThatStopsInMidRequestEndsAllRanks) {
  const auto server = StartServer({.shards = 2});
  RemoteJob job(
      {ConnectionOptions({server->address()}, 0, 2), ConnectionOptions({server->address()}, 1, 2)});
  CreateTables(job);
  // Rank 0 waits in both shards for rank 1, which is between two steps.
  job.clients()[0][0]->StartPushPull(EmptyPush(0, 1), {});
  job.clients()[0][1]->StartPushPull(EmptyPush(0, 1), {});
  ASSERT_TRUE(Pull(*job.clients()[1][1]).ok());
  const auto start = Clock::now();
  (void)server->Stop(start + 1s);
  for (const Status& status : {job.clients()[0][0]->Finish(), job.clients()[0][1]->Finish(),
                               PushPull(*job.clients()[1][0], 1, 1), job.End()}) {
    EXPECT_EQ(status.code(), StatusCode::kUnavailable);
    EXPECT_THAT(status.message(), HasSubstr("server " + server->address()));
  }
  EXPECT_LT(Clock::now() - start, 5s);
}

TEST(JobConnectionTest, AServerThatVanishesInMidRequestEndsAllRanks) {
  const auto server = StartServer();
  const std::string dead = DeadAddress();
  std::vector<std::unique_ptr<TcpProxy>> proxies;
  std::vector<JobConnectionOptions> ranks;
  for (std::uint32_t rank = 0; rank < 2; ++rank) {
    proxies.push_back(std::make_unique<TcpProxy>(server->port()));
    ranks.push_back(ConnectionOptions({proxies[rank]->address()}, rank, 2));
  }
  RemoteJob job(ranks);
  CreateTables(job);
  job.clients()[0][0]->StartPushPull(EmptyPush(0, 1), {});
  ASSERT_TRUE(Pull(*job.clients()[1][0]).ok());
  const std::vector<std::string> names = {proxies[0]->address(), proxies[1]->address()};
  const auto start = Clock::now();
  proxies.clear();
  const Status waiting = job.clients()[0][0]->Finish();
  const Status later = PushPull(*job.clients()[1][0], 1, 1);
  EXPECT_LT(Clock::now() - start, 5s);
  EXPECT_EQ(waiting.code(), StatusCode::kUnavailable);
  EXPECT_THAT(waiting.message(),
              AllOf(HasSubstr("server " + names[0] + ", push-pull of step 1, shard 0: "),
                    HasSubstr("connection was lost"), HasSubstr("nobody has listened there")));
  EXPECT_EQ(later.code(), StatusCode::kUnavailable);
  EXPECT_THAT(later.message(), HasSubstr("server " + names[1]));

  // From then on every request ends at once, with the same words.
  const auto again = Clock::now();
  const Status last = Pull(*job.clients()[0][0]);
  EXPECT_LT(Clock::now() - again, 2s);
  EXPECT_EQ(last.code(), StatusCode::kUnavailable);
  const auto reason = [](const Status& status) {
    return status.message().substr(status.message().find("shard 0: "));
  };
  EXPECT_EQ(reason(last), reason(waiting));
}

TEST(JobConnectionTest, AServerThatWasRestartedEmptyIsNeverTakenForTheOldOne) {
  const auto old = StartServer();
  TcpProxy proxy(old->port());
  RemoteJob job({ConnectionOptions({proxy.address()})});
  CreateTables(job);
  ASSERT_TRUE(PushPull(*job.clients()[0][0], 0, 1).ok());
  const auto restarted = StartServer();
  proxy.set_target(restarted->port());
  const auto start = Clock::now();
  proxy.CutAll();
  const Status status = PushPull(*job.clients()[0][0], 0, 2);
  EXPECT_LT(Clock::now() - start, 5s);
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_THAT(status.message(),
              AllOf(HasSubstr("server " + proxy.address() + ", push-pull of step 2, shard 0"),
                    HasSubstr("lost its memory (it was restarted)")));
  // Nor has the new one taken the rank in.
  EXPECT_FALSE(*restarted->IsJobHeld());
}

TEST(JobConnectionTest, ARankThatIsLostEndsTheOthersByName) {
  const auto server = StartServer({.reconnect_grace = 50ms});
  RemoteJob job({ConnectionOptions({server->address()}, 0, 2)});
  CreateTables(job);
  auto other = MakeConnection(ConnectionOptions({server->address()}, 1, 2));
  ASSERT_EQ(other->Connect(1).ToString(), "ok");
  job.clients()[0][0]->StartPushPull(EmptyPush(0, 1), {});
  other.reset();
  const Status status = job.clients()[0][0]->Finish();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_THAT(status.message(),
              AllOf(HasSubstr("server " + server->address() + ", push-pull of step 1, shard 0"),
                    HasSubstr("rank 1 of job 'x' was lost")));
}

TEST(JobConnectionTest, ARequestThatIsNotAnsweredEndsByItsDeadline) {
  const auto server = StartServer();
  JobConnectionOptions options = ConnectionOptions({server->address()}, 0, 2);
  options.request_timeout = 100ms;
  RemoteJob job({options});
  CreateTables(job);
  const Status late = PushPull(*job.clients()[0][0], 0, 1);  // rank 1 never comes
  EXPECT_EQ(late.code(), StatusCode::kDeadlineExceeded);
  EXPECT_THAT(late.message(),
              HasSubstr("server " + server->address() + ", push-pull of step 1, shard 0"));
  EXPECT_EQ(Pull(*job.clients()[0][0]).ToString(), "ok");  // the connection is as good as before
  EXPECT_EQ(*job.connection(0).CountPending(), 0U);
}

TEST(JobConnectionTest, ComesBackAndSendsAgainWhatACutLeftUnanswered) {
  const auto server = StartServer();
  // The answer to the second request never arrives: the connection is cut within it.
  TcpProxy proxy(server->port(), [](const ProxiedFrame& frame) {
    FrameFate fate;
    if (frame.connection == 2 && frame.direction == Direction::kToClient && frame.number == 3) {
      fate.bytes_left = 50;
    }
    return fate;
  });
  RemoteJob job({ConnectionOptions({proxy.address()})});  // connection 1 asked for the epoch
  CreateTables(job);
  EXPECT_EQ(PushPull(*job.clients()[0][0], 0, 1).ToString(), "ok");
  EXPECT_EQ(PushPull(*job.clients()[0][0], 0, 2).ToString(), "ok");
  EXPECT_EQ(proxy.counts().cuts, 1U);
  EXPECT_EQ(job.connection(0).traffic().reconnects, 1U);
}

TEST(JobConnectionTest, EndsWellWhenTheAnswerToItsEndIsLost) {
  const auto server = StartServer();
  TcpProxy proxy(server->port(), [](const ProxiedFrame& frame) {
    FrameFate fate;  // the second answer of connection 1: to the end, after the welcome
    if (frame.connection == 1 && frame.direction == Direction::kToClient && frame.number == 2) {
      fate.bytes_left = 10;
    }
    return fate;
  });
  const auto job = MakeConnection(ConnectionOptions({proxy.address()}));
  ASSERT_EQ(job->Connect(1).ToString(), "ok");
  EXPECT_EQ(job->EndJob().ToString(), "ok");
  EXPECT_EQ(proxy.counts().cuts, 1U);
  EXPECT_FALSE(*server->IsJobHeld());
}

}  // namespace
}  // namespace dcn::ps
