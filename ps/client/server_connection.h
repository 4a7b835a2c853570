// One rank's connection to one server, for as long as the job runs: connects, sends what is asked
// for, brings the answers; comes back where the network has cut it, and ends everything where the
// server is gone or another one than before.
//
//   opener ──> connection ──> read ──> multiplexer ──> handlers
//     ^                         │ lost: within the time to return, send again
//     └─────────────────────────┘ silent, or nobody there any more: the end
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include "common/net/address.h"
#include "common/net/connection.h"
#include "common/net/pulse.h"
#include "common/net/task_scope.h"
#include "common/status.h"
#include "ps/client/connection_opener.h"
#include "ps/client/request_multiplexer.h"
#include "ps/client/request_sender.h"
#include "ps/message.h"

namespace dcn::ps {

/// Thread safety: confined to the executor's thread, but for Send and what is said otherwise. Once
/// Start was called, it is destroyed after that thread has ended.
class ServerConnection final : public RequestSender {
 public:
  using TimePoint = RequestMultiplexer::TimePoint;

  struct Options {
    std::vector<net::Address> addresses;  // of the server; the first names it in errors
    Hello hello;
    std::uint64_t epoch = 0;
    std::uint64_t incarnation = 0;  // the server that is meant; 0: whichever is there
    bool is_only_server = false;    // of the job: no other waits while this one is written to
    std::chrono::milliseconds connect_timeout{};
    std::chrono::milliseconds reconnect_timeout{};  // to come back after a lost connection
    std::chrono::milliseconds refused_timeout{};    // as ConnectionOpener::Goal's, on the way back
    net::Heartbeat heartbeat{};                     // of workers; observers come and go
  };
  /// Takes the first welcome, or why there is none (ConnectionOpener::AsyncOpen; names the server).
  using FirstHandler = std::function<void(Result<Welcome> welcome)>;

  ServerConnection(boost::asio::any_io_executor executor, Options options,
                   net::TaskScope::ExceptionHandler on_exception);

  /// Connects from now on; `on_first` is called once. Once.
  void Start(FirstHandler on_first);

  /// Any thread. A request waits for the connection where there is none. After the connection has
  /// failed for good, it ends at once with the reason:
  /// kUnavailable: the server is gone (no way back within the time), was silent for too long, lost
  /// its memory, or refuses this rank. kDeadlineExceeded: it does not answer hellos any more.
  /// kCancelled: Close.
  void Send(RequestMultiplexer::Request request) override;

  /// Ends every request, under way and later ones, with `reason` (unless it has failed before), and
  /// makes the tasks return.
  void Close(const Status& reason);
  /// Waits for the tasks' return. kDeadlineExceeded: names those that still run.
  [[nodiscard]] boost::asio::awaitable<Status> AsyncClose(TimePoint deadline);

  /// Any thread: "HOST:PORT".
  [[nodiscard]] const std::string& name() const { return name_; }
  /// Any thread: bytes of requests, repetitions too, and of answers, with their headers. Heartbeats
  /// are not counted.
  [[nodiscard]] std::uint64_t bytes_sent() const { return bytes_sent_; }
  [[nodiscard]] std::uint64_t bytes_received() const { return bytes_received_; }
  /// Any thread: why the connection has ended for good; OK while it has not. A server that tells
  /// that the epoch is broken ends it, too.
  [[nodiscard]] Status end() const;
  /// Any thread: connections that were lost and came back.
  [[nodiscard]] std::uint64_t reconnects() const { return reconnects_; }
  /// Requests that have not ended.
  [[nodiscard]] std::size_t pending() const { return multiplexer_.pending(); }

 private:
  boost::asio::awaitable<void> AsyncRun();
  // Reads until the connection is of no use any more, and says why.
  boost::asio::awaitable<Status> AsyncServe();
  boost::asio::awaitable<void> AsyncPause();
  boost::asio::awaitable<void> AsyncKeepTime();
  [[nodiscard]] TimePoint next_deadline() const;
  // Sends a heartbeat where one is due, and gives a silent server up.
  void FeelPulse(TimePoint now);
  // How long to try to come back after the connection was lost.
  [[nodiscard]] std::chrono::milliseconds TimeToReturn();
  void Add(RequestMultiplexer::Request request);
  // Sends what has not been sent on this connection.
  void Flush();
  [[nodiscard]] Status OnFrame(const net::FrameHeader& header);
  void ReportFirst(Result<Welcome> welcome);
  // Ends every request, under way and later ones.
  void FailAll(const Status& reason);

  const boost::asio::any_io_executor executor_;
  const std::string name_;
  const std::chrono::milliseconds reconnect_timeout_;
  const std::chrono::milliseconds refused_timeout_;
  const net::Heartbeat heartbeat_;
  const bool is_only_server_;
  ConnectionOpener::Goal goal_;  // of the next connection
  FirstHandler on_first_;        // null once called
  RequestMultiplexer multiplexer_;
  std::shared_ptr<net::Connection> connection_;  // null: none; shared with the task that writes
  std::optional<net::Pulse> pulse_;              // of the connection, where there are heartbeats
  Body body_;                                    // of the frame that was read last
  std::uint64_t answers_ = 0;                    // on this connection
  std::uint32_t fruitless_ = 0;                  // connections in a row without an answer
  bool is_closed_ = false;
  boost::asio::steady_timer clock_;  // the earliest deadline
  boost::asio::steady_timer pause_;
  mutable std::mutex end_mutex_;
  Status end_;  // guarded by end_mutex_
  std::atomic<std::uint64_t> bytes_sent_ = 0;
  std::atomic<std::uint64_t> bytes_received_ = 0;
  std::atomic<std::uint64_t> reconnects_ = 0;
  net::TaskScope tasks_;
  ConnectionOpener opener_;
};

}  // namespace dcn::ps
