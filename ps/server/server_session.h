// One connection of a server: reads its frames, hands them on, writes the answers.
//
// Belongs to the server's I/O thread. Requests are answered by shard threads through RemoteReply,
// which comes back to this thread first and may find the connection gone.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "common/net/connection.h"
#include "common/net/frame.h"
#include "common/net/pulse.h"
#include "ps/body_pool.h"
#include "ps/message.h"
#include "ps/server/job_desk.h"
#include "ps/server/server_status.h"
#include "ps/server/shard_desk.h"

namespace dcn::ps {

class ServerSession;

/// Whom a session reports to; all calls on the I/O thread.
class SessionHandler {
 public:
  virtual ~SessionHandler() = default;
  /// An intact frame. `body`, which is not null, may be taken.
  virtual void OnFrame(ServerSession& session, const net::FrameHeader& header,
                       std::shared_ptr<Body>& body) = 0;
  /// The peer sent what no peer should, or does not take its answers: the session closes.
  virtual void OnRefused(ServerSession& session, Refusal reason) = 0;
  /// A request was answered with a failure.
  virtual void OnFailureSent() = 0;
  /// The connection is closed; the last call of this session.
  virtual void OnClosed(ServerSession& session) = 0;
};

/// Lives in a shared_ptr: its two tasks share it, answers on their way look for it.
/// Thread safety: none; confined to the I/O thread.
class ServerSession : public std::enable_shared_from_this<ServerSession> {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  /// handler: outlives the session's tasks.
  ServerSession(ConnectionId id, boost::asio::ip::tcp::socket socket, SessionHandler& handler);

  /// As net::Connection's.
  void WriteLongPieces() { connection_.WriteLongPieces(); }

  /// The session's tasks; each keeps it alive.
  static boost::asio::awaitable<void> AsyncRead(std::shared_ptr<ServerSession> self);
  static boost::asio::awaitable<void> AsyncWrite(std::shared_ptr<ServerSession> self);

  /// After a good hello: longer messages are read from now on.
  void Welcome(Role role, const Sender& sender);

  /// From now on heartbeats are sent, and expected of the peer.
  void StartHeartbeats(const net::Heartbeat& heartbeat, TimePoint now);
  /// Sends one where it is due; false: the peer has been silent for too long. Called at next_look()
  /// or earlier.
  [[nodiscard]] bool FeelPulse(TimePoint now);
  /// TimePoint::max(): there are no heartbeats.
  [[nodiscard]] TimePoint next_look() const;

  /// Queues the answer to a request.
  void Answer(std::uint64_t request_id, MessageType type, std::shared_ptr<const Body> body);
  void AnswerFailure(std::uint64_t request_id, const Status& status);

  /// The way back of a request that a shard's thread will answer; counts as owed until it is
  /// answered. good: the type of a good answer.
  [[nodiscard]] std::unique_ptr<Reply> MakeReply(std::uint64_t request_id, MessageType good);

  /// Answers what is owed, then closes; what still comes is not looked at.
  void Finish();
  void Close();

  [[nodiscard]] ConnectionId id() const { return id_; }
  [[nodiscard]] bool is_welcome() const { return is_welcome_; }
  [[nodiscard]] Role role() const { return role_; }
  [[nodiscard]] const Sender& sender() const { return sender_; }
  [[nodiscard]] const net::Connection& connection() const { return connection_; }

 private:
  friend class RemoteReply;

  void Send(const net::OutgoingFrame& frame);
  // An owed answer has come (a frame), or never will (the request was replaced).
  void OnReply(const net::OutgoingFrame* frame, bool is_failure);
  boost::asio::awaitable<void> AsyncAwaitRoom();

  const ConnectionId id_;
  net::Connection connection_;
  SessionHandler& handler_;
  bool is_welcome_ = false;
  Role role_ = Role::kObserver;
  Sender sender_;
  std::size_t owed_ = 0;  // answers that shard threads have yet to give
  std::optional<net::Pulse> pulse_;
  bool is_finishing_ = false;
  BodyPool bodies_;  // of requests and of their answers
  boost::asio::steady_timer has_room_;
};

}  // namespace dcn::ps
