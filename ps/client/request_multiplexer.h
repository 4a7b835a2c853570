// Which requests to a server are under way, over however many connections it takes: matches answers
// with requests, sends again what a broken connection left unanswered, ends what is overdue.
//
// Pure bookkeeping, without sockets, clocks or threads: the connection's loop (server_connection.h)
// feeds it and does the I/O. Holds as many requests as were added and not yet ended, nothing else.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "common/net/frame.h"
#include "common/status.h"
#include "ps/message.h"

namespace dcn::ps {

/// One answer, or why there is none. `body` is valid during the call only.
using AnswerHandler = std::function<void(const Status& status, std::span<const std::byte> body)>;

/// Every error that a handler gets names server and request, then says what happened. Handlers may
/// call any of the functions below, but not destroy the multiplexer.
/// Thread safety: none; confined to its connection's thread.
class RequestMultiplexer {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  /// A request as it goes out. Retries send the same bytes: servers answer a repeated request
  /// without applying it twice.
  struct Request {
    MessageType type;
    MessageType answer;       // the type of a good answer
    std::string description;  // "push-pull of step 7, shard 2": for errors
    std::shared_ptr<const Body> body;
    TimePoint deadline;
    AnswerHandler on_answer;  // called exactly once
  };

  /// server: "HOST:PORT", for errors. max_body_bytes: the most that it takes.
  explicit RequestMultiplexer(std::string server, std::size_t max_body_bytes = kMaxBodyBytes)
      : server_(std::move(server)), max_body_bytes_(max_body_bytes) {}

  /// Queues a request and returns its id (from 1, never repeated). A body above the limit ends at
  /// once with kInvalidArgument.
  std::uint64_t Add(Request request);

  /// The next request to be sent on the current connection, in the order of Add; nothing: none.
  struct Outgoing {
    std::uint64_t id = 0;
    MessageType type{};
    std::shared_ptr<const Body> body;
  };
  [[nodiscard]] std::optional<Outgoing> TakeNextToSend();

  /// An intact frame arrived. Ends the request it answers: with OK and the body, or with the status
  /// of a kFailure. An answer to a request that has ended is counted and dropped. kDataLoss: the
  /// connection cannot be trusted any more (an id that was never sent on it, another type than the
  /// request's answer, a failure that cannot be decoded, unknown flags): close it, then call
  /// OnDisconnected. The frame's epoch is the connection's business.
  [[nodiscard]] Status OnFrame(const net::FrameHeader& header, std::span<const std::byte> body);

  /// The connection is gone: what was sent and not answered is to be sent again on the next one,
  /// in the order of Add, before what was never sent.
  void OnDisconnected();

  /// Ends what is overdue at `now` with kDeadlineExceeded, in the order of Add.
  void Expire(TimePoint now);

  /// Ends everything with `status`, in the order of Add; later Adds end at once with it, too. The
  /// first call counts. REQUIRES: !status.ok().
  void FailAll(const Status& status);

  /// When the earliest deadline is; nothing: no request is under way.
  [[nodiscard]] std::optional<TimePoint> next_deadline() const;
  /// Requests that have not ended.
  [[nodiscard]] std::size_t pending() const { return requests_.size(); }
  [[nodiscard]] std::uint64_t late_answers() const { return late_answers_; }

 private:
  using Requests = std::map<std::uint64_t, Request>;
  void End(Requests::iterator it, const Status& status, std::span<const std::byte> body);
  void EndWithError(Requests::iterator it, StatusCode code, std::string_view what);

  const std::string server_;
  const std::size_t max_body_bytes_;
  std::uint64_t last_id_ = 0;
  // Ids grow in the order of Add, which is the order of sending: this connection has sent what
  // comes up to last_sent_.
  Requests requests_;
  std::uint64_t last_sent_ = 0;
  std::uint64_t late_answers_ = 0;
  Status failed_;  // of FailAll
};

}  // namespace dcn::ps
