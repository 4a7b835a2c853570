#include "common/net/task_scope.h"

#include <utility>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/ranges.h>

namespace dcn::net {
namespace {

std::string TextOf(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "an exception of an unknown kind";
  }
}

}  // namespace

TaskScope::TaskScope(boost::asio::any_io_executor executor, ExceptionHandler on_exception)
    : executor_(std::move(executor)),
      on_exception_(std::move(on_exception)),
      all_ended_(executor_),
      self_(std::make_shared<TaskScope*>(this)) {}

TaskScope::~TaskScope() { *self_ = nullptr; }

void TaskScope::Start(std::string name, boost::asio::awaitable<void> task) {
  DCN_CHECK(!is_closing_);
  const std::uint64_t id = ++last_id_;
  names_.emplace(id, std::move(name));
  boost::asio::co_spawn(executor_, std::move(task),
                        [self = self_, id](const std::exception_ptr& exception) {
                          if (*self != nullptr) (*self)->End(id, exception);
                        });
}

void TaskScope::End(std::uint64_t id, const std::exception_ptr& exception) {
  const auto task = names_.extract(id);
  if (exception) on_exception_(task.mapped(), TextOf(exception));
  if (names_.empty()) all_ended_.cancel();
}

boost::asio::awaitable<Status> TaskScope::AsyncClose(TimePoint deadline) {
  is_closing_ = true;
  boost::system::error_code cancelled;
  while (!names_.empty() && std::chrono::steady_clock::now() < deadline) {
    all_ended_.expires_at(deadline);
    co_await all_ended_.async_wait(
        boost::asio::redirect_error(boost::asio::use_awaitable, cancelled));
  }
  if (names_.empty()) co_return Status();
  std::vector<std::string> running;
  for (const auto& [id, name] : names_) running.push_back(name);
  co_return Error(StatusCode::kDeadlineExceeded, "{} tasks still run: {}", running.size(),
                  fmt::join(running, ", "));
}

}  // namespace dcn::net
