// Coroutines with an owner: each has a name, none outlives its scope, no exception is lost.
//
// The only way to start a coroutine. Whoever owns a scope first makes its tasks end (closes the
// sockets and timers that they wait on), then waits for them in AsyncClose, while the loop that
// runs them still runs.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include "common/status.h"

namespace dcn::net {

/// The tasks of one owner. Thread safety: none; everything happens on the executor's thread.
class TaskScope {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  /// Called when an exception has left a task, which is a bug. Must not throw.
  using ExceptionHandler = std::function<void(std::string_view task, std::string_view what)>;

  /// executor: of one thread. on_exception: is called as long as tasks run.
  TaskScope(boost::asio::any_io_executor executor, ExceptionHandler on_exception);
  /// Tasks may still be suspended when their loop was stopped for good; they never run again, and
  /// the loop's destructor destroys them.
  ~TaskScope();
  TaskScope(const TaskScope&) = delete;
  TaskScope& operator=(const TaskScope&) = delete;

  /// Starts a task; what it refers to must live until it has ended. It runs up to its first wait
  /// when the caller next returns to the loop. REQUIRES: AsyncClose was not called.
  void Start(std::string name, boost::asio::awaitable<void> task);

  /// Waits until every task has ended. kDeadlineExceeded: names those that still run.
  [[nodiscard]] boost::asio::awaitable<Status> AsyncClose(TimePoint deadline);

  /// Tasks that have not ended.
  [[nodiscard]] std::size_t size() const { return names_.size(); }

 private:
  void End(std::uint64_t id, const std::exception_ptr& exception);

  boost::asio::any_io_executor executor_;
  ExceptionHandler on_exception_;
  std::uint64_t last_id_ = 0;
  std::map<std::uint64_t, std::string> names_;  // of the tasks that run
  bool is_closing_ = false;
  boost::asio::steady_timer all_ended_;
  std::shared_ptr<TaskScope*> self_;  // shared with the end of each task: null once this is gone
};

}  // namespace dcn::net
