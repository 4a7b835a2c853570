// The server on a socket: who is let in, what is refused, and that nobody else notices.

#include "ps/server/server.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "common/bytes.h"
#include "common/digest.h"
#include "common/net/frame.h"
#include "tests/ps/server/raw_client.h"

namespace dcn::ps {
namespace {

using ::testing::AllOf;
using testing::CreateTablesBody;
using ::testing::HasSubstr;
using testing::PullBody;
using testing::RawClient;
using testing::ValuesOf;

using namespace std::chrono_literals;

const std::vector<TableDefinition> kTables = {{"a", 2, {.seed = 1}, AdamOptions{}},
                                              {"b", 3, {.seed = 1}, SgdOptions{}}};

Hello Observer(const std::string& token = "") {
  return {.role = Role::kObserver, .rank = 0, .ranks = 1, .job = {}, .token = token};
}

class ServerTest : public ::testing::Test {
 protected:
  static std::unique_ptr<Server> Start(const ServerOptions& options) {
    auto server = Server::Start(options);
    if (!server.ok()) throw std::runtime_error(server.status().ToString());
    return std::move(*server);
  }

  static Hello Worker(std::uint32_t rank = 0, std::uint32_t ranks = 1,
                      const std::string& job = "x") {
    return {.role = Role::kWorker, .rank = rank, .ranks = ranks, .job = job, .token = {}};
  }

  static nlohmann::json StatusOf(Server& server) {
    return nlohmann::json::parse(server.StatusText().value());
  }
  static std::uint64_t Refused(Server& server, const std::string& reason) {
    return StatusOf(server)["refused"][reason];
  }

  // Asks until the answer is `wanted`: the server may not have seen everything yet.
  template <typename Question>
  static bool Becomes(Question question, std::chrono::seconds deadline = 10s) {
    const auto end = std::chrono::steady_clock::now() + deadline;
    while (!question()) {
      if (std::chrono::steady_clock::now() > end) return false;
    }
    return true;
  }

  std::unique_ptr<Server> server_ = Start({.shards = 2});
};

TEST_F(ServerTest, WelcomesObserversAndWorkersAndTellsTheLastEpoch) {
  RawClient observer(server_->port());
  const auto before = observer.SayHello(Observer(), 0);
  ASSERT_TRUE(before.ok()) << before.status().ToString();
  EXPECT_EQ(before->incarnation, server_->incarnation());
  EXPECT_EQ(before->shards, 2U);
  EXPECT_EQ(before->last_epoch, 0U);

  RawClient worker(server_->port());
  const auto welcome = worker.SayHello(Worker(), 5);
  ASSERT_TRUE(welcome.ok()) << welcome.status().ToString();
  EXPECT_EQ(welcome->last_epoch, 5U);
  EXPECT_EQ(worker.Ask(MessageType::kPing).type, MessageType::kPong);
}

TEST_F(ServerTest, IncarnationsDiffer) {
  EXPECT_NE(server_->incarnation(), Start({})->incarnation());
}

// A connection that a bad frame closes, and one that must not notice.
struct BadBytes {
  std::string name;
  std::string reason;  // as counted
  Body bytes;
};

Body Bytes(std::string_view text) {
  const auto bytes = AsBytes(text);
  return {bytes.begin(), bytes.end()};
}

Body FrameBytes(std::uint16_t type, Body body) {
  const auto header = net::EncodeFrameHeader({.type = type, .request_id = 1}, body);
  Body bytes(header.size() + body.size());
  std::ranges::copy(body, std::ranges::copy(header, bytes.begin()).out);
  return bytes;
}

Body HelloBytes() {
  Body body;
  Encode(Observer(), body);
  return FrameBytes(1, body);
}

Body Changed(Body bytes, std::size_t at) {
  bytes[at] ^= std::byte{1};
  return bytes;
}

Body OfVersion(std::uint16_t version) {
  Body bytes = HelloBytes();
  StoreLittleEndian(version, bytes.data() + 4);
  StoreLittleEndian(Checksum64(std::span(bytes).first(40)), bytes.data() + 40);
  return bytes;
}

const std::vector<BadBytes>& AllBadBytes() {
  static const std::vector<BadBytes> all = {
      {"garbage", "magic", Body(200, std::byte{0x5a})},
      {"http", "magic",
       Bytes("GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: a browser\r\n\r\n")},
      {"header", "header_checksum", Changed(HelloBytes(), 17)},
      {"version", "version", OfVersion(9)},
      {"body", "body_checksum", Changed(HelloBytes(), net::kFrameHeaderBytes + 1)},
      {"oversize", "body_too_long", FrameBytes(1, Body(kMaxHelloBytes + 1, std::byte{0}))},
      {"nonsense", "message", FrameBytes(1, Body(3, std::byte{0}))},
      {"not_hello", "no_hello", FrameBytes(13, {})},
  };
  return all;
}

class BadBytesTest : public ServerTest, public ::testing::WithParamInterface<BadBytes> {};

TEST_P(BadBytesTest, ClosesOnlyThatConnectionAndCounts) {
  RawClient bystander(server_->port());
  ASSERT_TRUE(bystander.SayHello(Worker(), 1).ok());
  ASSERT_EQ(Refused(*server_, GetParam().reason), 0U);

  RawClient bad(server_->port());
  bad.SendBytes(GetParam().bytes);
  EXPECT_TRUE(bad.IsClosedByServer());
  EXPECT_EQ(Refused(*server_, GetParam().reason), 1U);
  EXPECT_EQ(bystander.Ask(MessageType::kPing).type, MessageType::kPong);
}

INSTANTIATE_TEST_SUITE_P(All, BadBytesTest, ::testing::ValuesIn(AllBadBytes()),
                         [](const auto& test) { return test.param.name; });

TEST_F(ServerTest, ClosesAWorkerWhoseRequestMakesNoSense) {
  for (const MessageType type : {MessageType::kCreateTables, MessageType::kPushPull,
                                 MessageType::kPull, MessageType::kAssign, MessageType::kEndJob,
                                 MessageType::kPing, MessageType::kQueryStatus}) {
    RawClient worker(server_->port());
    ASSERT_TRUE(worker.SayHello(Worker(), 1).ok());
    worker.Send(type, Body(3, std::byte{0}));
    EXPECT_TRUE(worker.IsClosedByServer()) << MessageTypeName(static_cast<std::uint16_t>(type));
  }
  EXPECT_EQ(Refused(*server_, "message"), 7U);
}

TEST_F(ServerTest, ClosesAConnectionThatSendsAnswers) {
  RawClient worker(server_->port());
  ASSERT_TRUE(worker.SayHello(Worker(), 1).ok());
  worker.Send(MessageType::kRows);
  EXPECT_TRUE(worker.IsClosedByServer());
  RawClient observer(server_->port());
  ASSERT_TRUE(observer.SayHello(Observer(), 0).ok());
  observer.Send(MessageType::kPull);
  EXPECT_TRUE(observer.IsClosedByServer());
  EXPECT_EQ(Refused(*server_, "unexpected_type"), 2U);
}

TEST_F(ServerTest, ClosesAConnectionWithoutAHelloInTime) {
  const auto server = Start({.hello_timeout = 50ms});
  RawClient silent(server->port());
  EXPECT_TRUE(silent.IsClosedByServer());
  EXPECT_EQ(Refused(*server, "no_hello"), 1U);
}

TEST_F(ServerTest, AHelloIsNeededOnlyOnce) {
  const auto server = Start({.hello_timeout = 50ms});
  RawClient worker(server->port());
  ASSERT_TRUE(worker.SayHello(Worker(), 1).ok());
  // By the time that a later connection has run out of time, so would this one have.
  RawClient silent(server->port());
  ASSERT_TRUE(silent.IsClosedByServer());
  EXPECT_EQ(worker.Ask(MessageType::kPing).type, MessageType::kPong);
}

TEST_F(ServerTest, AsksForTheToken) {
  const auto server = Start({.token = "sesame"});
  for (const std::string token : {"", "sesam", "sesame ", "SESAME"}) {
    RawClient client(server->port());
    const auto refused = client.SayHello(Observer(token), 0);
    EXPECT_EQ(refused.status().code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(refused.status().message(), HasSubstr("token"));
    EXPECT_THAT(refused.status().message(), ::testing::Not(HasSubstr("sesame")));
    EXPECT_TRUE(client.IsClosedByServer());
  }
  EXPECT_EQ(Refused(*server, "token"), 4U);
  RawClient client(server->port());
  EXPECT_TRUE(client.SayHello(Observer("sesame"), 0).ok());
}

TEST_F(ServerTest, ListensBeyondThisMachineOnlyWhenToldHow) {
  const auto refused = Server::Start({.listen = "0.0.0.0:0"});
  EXPECT_EQ(refused.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(refused.status().message(), AllOf(HasSubstr("0.0.0.0"), HasSubstr("--token-file")));
}

TEST_F(ServerTest, NamesAPortInUse) {
  const auto second = Server::Start({.listen = server_->address()});
  EXPECT_EQ(second.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(second.status().message(), AllOf(HasSubstr(server_->address()), HasSubstr("in use")));
}

TEST_F(ServerTest, RefusesAnotherJobByNameUntilTheFirstHasEnded) {
  RawClient first(server_->port());
  ASSERT_TRUE(first.SayHello(Worker(0, 2), 1).ok());
  RawClient second(server_->port());
  const auto refused = second.SayHello(Worker(0, 1, "y"), 2);
  EXPECT_EQ(refused.status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(refused.status().message(), "busy with job 'x' (epoch 1, 1 of 2 ranks connected)");
  EXPECT_TRUE(second.IsClosedByServer());

  RawClient other(server_->port());
  ASSERT_TRUE(other.SayHello(Worker(1, 2), 1).ok());
  EXPECT_EQ(first.Ask(MessageType::kEndJob).type, MessageType::kDone);
  EXPECT_EQ(other.Ask(MessageType::kEndJob).type, MessageType::kDone);
  RawClient later(server_->port());
  EXPECT_TRUE(later.SayHello(Worker(0, 1, "y"), 2).ok());
}

TEST_F(ServerTest, ANewEpochTakesOverAndClosesTheOldConnections) {
  RawClient old(server_->port());
  ASSERT_TRUE(old.SayHello(Worker(0, 2), 1).ok());
  ASSERT_EQ(old.Ask(MessageType::kCreateTables, CreateTablesBody(0, kTables)).type,
            MessageType::kDone);
  RawClient next(server_->port());
  ASSERT_TRUE(next.SayHello(Worker(0, 1), 2).ok());
  EXPECT_TRUE(old.IsClosedByServer());

  // Its memory is new.
  std::vector<float> values(2);
  const std::vector<Key> keys = {7};
  const std::vector<RowsToPull> pull = {{.table = 0, .keys = keys, .values = values}};
  const auto answer = next.Ask(MessageType::kPull, PullBody(0, pull));
  EXPECT_EQ(RawClient::FailureOf(answer).code(), StatusCode::kOutOfRange);

  RawClient late(server_->port());
  const auto refused = late.SayHello(Worker(1, 2), 1);
  EXPECT_EQ(refused.status().message(), "epoch 1 of job 'x' is over: epoch 2 is running");
}

// The answer to the last rank's EndJob waits behind 40 MB that the rank reads late.
TEST_F(ServerTest, WhatAJobWasToldStillComesWhenTheNextHasBegun) {
  RawClient old(server_->port());
  ASSERT_TRUE(old.SayHello(Worker(), 1).ok());
  const std::vector<TableDefinition> tables = {{"wide", 250, {.seed = 1}, SgdOptions{}}};
  ASSERT_EQ(old.Ask(MessageType::kCreateTables, CreateTablesBody(0, tables)).type,
            MessageType::kDone);
  std::vector<Key> keys(40'000);
  std::iota(keys.begin(), keys.end(), Key{0});
  std::vector<float> values(keys.size() * 250);
  const std::vector<RowsToPull> pull = {{.table = 0, .keys = keys, .values = values}};
  const std::uint64_t pull_id = old.Send(MessageType::kPull, PullBody(0, pull));
  const std::uint64_t end_id = old.Send(MessageType::kEndJob);
  RawClient next(server_->port());
  ASSERT_TRUE(Becomes([&] { return !*server_->IsJobHeld(); }));
  ASSERT_TRUE(next.SayHello(Worker(0, 1, "y"), 2).ok());

  std::map<std::uint64_t, RawClient::Answer> answers;
  for (int i = 0; i < 2; ++i) {
    RawClient::Answer answer = old.Receive();
    answers[answer.id] = std::move(answer);
  }
  EXPECT_EQ(ValuesOf(answers.at(pull_id)).size(), values.size());
  EXPECT_EQ(answers.at(end_id).type, MessageType::kDone);
  EXPECT_TRUE(old.IsClosedByServer());
}

TEST_F(ServerTest, RefusesAMessageOfAnotherEpochThanTheConnections) {
  RawClient worker(server_->port());
  ASSERT_TRUE(worker.SayHello(Worker(), 4).ok());
  worker.set_epoch(3);
  const auto answer = worker.Ask(MessageType::kCreateTables, CreateTablesBody(0, kTables));
  EXPECT_EQ(RawClient::FailureOf(answer).code(), StatusCode::kUnavailable);
  worker.set_epoch(4);
  EXPECT_EQ(worker.Ask(MessageType::kCreateTables, CreateTablesBody(0, kTables)).type,
            MessageType::kDone);
}

TEST_F(ServerTest, NamesAShardAndATableThatAreNotThere) {
  RawClient worker(server_->port());
  ASSERT_TRUE(worker.SayHello(Worker(), 1).ok());
  const Status no_shard =
      RawClient::FailureOf(worker.Ask(MessageType::kCreateTables, CreateTablesBody(7, kTables)));
  EXPECT_EQ(no_shard.code(), StatusCode::kOutOfRange);
  EXPECT_THAT(no_shard.message(), HasSubstr("shard 7"));

  ASSERT_EQ(worker.Ask(MessageType::kCreateTables, CreateTablesBody(1, kTables)).type,
            MessageType::kDone);
  std::vector<float> values(2);
  const std::vector<Key> keys = {7};
  const std::vector<RowsToPull> pull = {{.table = 9, .keys = keys, .values = values}};
  const Status no_table = RawClient::FailureOf(worker.Ask(MessageType::kPull, PullBody(1, pull)));
  EXPECT_EQ(no_table.code(), StatusCode::kOutOfRange);
  EXPECT_THAT(no_table.message(), HasSubstr("table 9"));
}

TEST_F(ServerTest, StatusTellsJobTablesAndRefusals) {
  RawClient worker(server_->port());
  ASSERT_TRUE(worker.SayHello(Worker(1, 3), 6).ok());
  ASSERT_EQ(worker.Ask(MessageType::kCreateTables, CreateTablesBody(0, kTables)).type,
            MessageType::kDone);
  const auto answer = worker.Ask(MessageType::kQueryStatus);
  ASSERT_EQ(answer.type, MessageType::kStatus);
  const auto status = nlohmann::json::parse(*DecodeText(answer.body));
  EXPECT_EQ(status["address"], server_->address());
  EXPECT_EQ(status["job"]["name"], "x");
  EXPECT_EQ(status["job"]["state"], "running");
  EXPECT_EQ(status["job"]["epoch"], 6);
  EXPECT_EQ(status["job"]["ranks"], 3);
  EXPECT_EQ(status["job"]["connected"], 1);
  EXPECT_EQ(status["requests"], 2);
  EXPECT_EQ(status["shards"].size(), 2U);
  EXPECT_EQ(status["tables"].size(), 2U);
  EXPECT_EQ(status["tables"][1]["name"], "b");
  EXPECT_EQ(status["connections"]["open"], 1);
  EXPECT_GT(status["bytes_received"], 0);
}

TEST_F(ServerTest, ForgetsClosedConnections) {
  for (int i = 0; i < 200; ++i) {
    RawClient client(server_->port());
    ASSERT_TRUE(client.SayHello(Observer(), 0).ok());
  }
  EXPECT_TRUE(Becomes([&] { return StatusOf(*server_)["connections"]["open"] == 0; }));
  EXPECT_EQ(StatusOf(*server_)["connections"]["accepted"], 200);
}

TEST_F(ServerTest, StopsAtOnceWhenIdle) {
  RawClient client(server_->port());
  ASSERT_TRUE(client.SayHello(Observer(), 0).ok());
  const Status stopped = server_->Stop(std::chrono::steady_clock::now() + 10s);
  EXPECT_TRUE(stopped.ok()) << stopped.ToString();
  EXPECT_TRUE(client.IsClosedByServer());
  EXPECT_THROW(RawClient{server_->port()}, std::runtime_error);
}

}  // namespace
}  // namespace dcn::ps
