// Connections to several servers, which say the same hello, and the thread that serves them.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include "common/named_thread.h"
#include "common/net/task_scope.h"
#include "common/status.h"
#include "ps/client/server_connection.h"
#include "ps/message.h"

namespace dcn::ps {

/// Thread safety: all calls but the constructor and the destructor may come from any thread.
class ConnectionSet {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  /// Connects from now on. servers: what stands at a place without a value is left out.
  explicit ConnectionSet(std::vector<std::optional<ServerConnection::Options>> servers);
  /// Closes the connections; what is asked of them from now on is a bug.
  ~ConnectionSet();
  ConnectionSet(const ConnectionSet&) = delete;
  ConnectionSet& operator=(const ConnectionSet&) = delete;

  /// Waits until every server has welcomed this process, or one has not; by place.
  /// Errors as ConnectionOpener::AsyncOpen, naming the server. kDeadlineExceeded: also where
  /// `limit` is reached, which lies behind every connect timeout.
  [[nodiscard]] Result<std::vector<std::optional<Welcome>>> AwaitWelcomes(TimePoint limit);

  /// Ends all requests and connections, and does not come back.
  void Close();

  /// The connection at a place; null: left out.
  [[nodiscard]] ServerConnection* at(std::size_t place) const { return connections_[place].get(); }
  [[nodiscard]] std::size_t size() const { return connections_.size(); }

  /// Requests that have not ended. kInternal: the thread does not answer.
  [[nodiscard]] Result<std::size_t> CountPending();

 private:
  void OnWelcome(std::size_t place, const Result<Welcome>& welcome);
  void OnException(std::string_view where, std::string_view what);
  void CloseAll(const Status& reason);
  boost::asio::awaitable<void> AsyncStop();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::optional<Welcome>> welcomes_;  // guarded by mutex_, as what follows
  std::size_t missing_ = 0;                       // servers that have not answered
  Status failure_;                                // the first one

  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::vector<std::unique_ptr<ServerConnection>> connections_;  // null: left out
  net::TaskScope stop_tasks_;                                   // what waits for the others' end
  std::unique_ptr<NamedThread> thread_;                         // runs io_
};

}  // namespace dcn::ps
