// A trainer that speaks frames and messages by hand, so that tests say what goes over the wire.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "common/net/address.h"
#include "common/net/blocking_connection.h"
#include "ps/message.h"
#include "ps/protocol.h"

namespace dcn::ps::testing {

/// One connection to a server of this machine. Everything has a deadline of ten seconds; what does
/// not come by then, or not at all, throws.
class RawClient {
 public:
  explicit RawClient(std::uint16_t port) : connection_(Connect(port)) {}

  /// Says hello and takes the answer: a Welcome, or the Failure as a status.
  Result<Welcome> SayHello(const Hello& hello, std::uint64_t epoch) {
    epoch_ = epoch;
    Body body;
    Encode(hello, body);
    const auto answer = Ask(MessageType::kHello, body);
    if (answer.type == MessageType::kWelcome) return DecodeWelcome(answer.body);
    return FailureOf(answer);
  }

  /// Sends a request under the next id, or under a given one, and returns the id.
  std::uint64_t Send(MessageType type, std::span<const std::byte> body = {},
                     std::optional<std::uint64_t> id = std::nullopt) {
    if (!id) id = ++last_id_;
    const Status status = connection_.SendFrame(
        {.type = static_cast<std::uint16_t>(type), .request_id = *id, .job_epoch = epoch_}, body,
        Deadline());
    if (!status.ok()) throw std::runtime_error("cannot send: " + status.ToString());
    return *id;
  }

  /// Sends bytes as they are; a connection that is closed meanwhile is fine.
  void SendBytes(std::span<const std::byte> bytes) {
    (void)connection_.SendBytes(bytes, Deadline());
  }

  struct Answer {
    std::uint64_t id = 0;
    MessageType type{};
    Body body;
  };
  /// The next answer; heartbeats are passed over.
  Answer Receive() {
    while (true) {
      Answer answer = ReceiveAny();
      if (answer.type != MessageType::kPong || answer.id != kHeartbeatId) return answer;
    }
  }
  /// The next message.
  Answer ReceiveAny() {
    auto frame = connection_.ReceiveFrame(kMaxBodyBytes, Deadline());
    if (!frame.ok()) throw std::runtime_error("no answer: " + frame.status().ToString());
    return {frame->header.request_id, static_cast<MessageType>(frame->header.type),
            std::move(frame->body)};
  }
  Answer Ask(MessageType type, std::span<const std::byte> body = {}) {
    Send(type, body);
    return Receive();
  }

  /// Waits until the server has closed the connection, whatever it sends before.
  bool IsClosedByServer() {
    while (true) {
      const auto frame = connection_.ReceiveFrame(kMaxBodyBytes, Deadline());
      if (!frame.ok()) return frame.status().code() == StatusCode::kUnavailable;
    }
  }

  void set_epoch(std::uint64_t epoch) { epoch_ = epoch; }

  /// The status in a kFailure; OK for any other answer.
  static Status FailureOf(const Answer& answer) {
    if (answer.type != MessageType::kFailure) return Status();
    const auto failure = DecodeFailure(answer.body);
    return failure.ok() ? Status(failure->code, failure->text) : failure.status();
  }

 private:
  static std::chrono::steady_clock::time_point Deadline() {
    return std::chrono::steady_clock::now() + std::chrono::seconds(10);
  }
  static net::BlockingConnection Connect(std::uint16_t port) {
    auto connection = net::BlockingConnection::Connect({"127.0.0.1", port}, Deadline());
    if (!connection.ok()) throw std::runtime_error(connection.status().ToString());
    return std::move(*connection);
  }

  net::BlockingConnection connection_;
  std::uint64_t epoch_ = 0;
  std::uint64_t last_id_ = 0;
};

/// Bodies of requests, for RawClient::Send.
inline Body CreateTablesBody(std::uint32_t shard, std::span<const TableDefinition> tables) {
  Body body;
  EncodeCreateTables(shard, tables, body);
  return body;
}
inline Body PushPullBody(std::uint32_t shard, const PushRequest& push,
                         std::span<const RowsToPull> pull) {
  Body body;
  EncodePushPull(shard, push, pull, body);
  return body;
}
inline Body PullBody(std::uint32_t shard, std::span<const RowsToPull> pull) {
  Body body;
  EncodePull(shard, pull, body);
  return body;
}

/// The values of a kRows answer. Throws std::runtime_error where it is another one.
inline std::vector<float> ValuesOf(const RawClient::Answer& answer) {
  const Status failure = RawClient::FailureOf(answer);
  if (!failure.ok()) throw std::runtime_error("refused: " + failure.ToString());
  const auto rows = DecodeRows(answer.body);
  if (!rows.ok()) throw std::runtime_error(rows.status().ToString());
  return {rows->values.begin(), rows->values.end()};
}

}  // namespace dcn::ps::testing
