#include "ps/client/connection_set.h"

#include <future>
#include <utility>

#include <boost/asio/post.hpp>
#include <spdlog/spdlog.h>

#include "common/net/run_loop.h"

namespace dcn::ps {
namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;

// What is closed ends at once, but for the look-up of a host's name.
constexpr std::chrono::seconds kCloseTimeout{1};
// The thread answers at once; only where it is stuck does this run out.
constexpr std::chrono::seconds kCallTimeout{10};

}  // namespace

ConnectionSet::ConnectionSet(std::vector<std::optional<ServerConnection::Options>> servers)
    : welcomes_(servers.size()),
      work_(asio::make_work_guard(io_)),
      stop_tasks_(io_.get_executor(), [this](std::string_view task, std::string_view what) {
        OnException(task, what);
      }) {
  for (std::size_t place = 0; place < servers.size(); ++place) {
    connections_.emplace_back();
    if (!servers[place]) continue;
    ++missing_;
    connections_.back() = std::make_unique<ServerConnection>(
        io_.get_executor(), *std::move(servers[place]),
        [this](std::string_view task, std::string_view what) { OnException(task, what); });
    connections_.back()->Start(
        [this, place](const Result<Welcome>& welcome) { OnWelcome(place, welcome); });
  }
  thread_ = std::make_unique<NamedThread>(
      "dcn-client-io",
      [this] {
        net::RunLoop(io_, [this](std::string_view what) { OnException("the I/O thread", what); });
      },
      [](std::string_view what) {
        spdlog::critical("the client's I/O thread has ended: {}", what);
      });
}

ConnectionSet::~ConnectionSet() {
  asio::post(io_, [this] { stop_tasks_.Start("stop", AsyncStop()); });
  thread_.reset();
}

asio::awaitable<void> ConnectionSet::AsyncStop() {
  CloseAll(Status(StatusCode::kCancelled, "closed by this process"));
  const auto deadline = Clock::now() + kCloseTimeout;
  for (const auto& connection : connections_) {
    if (connection == nullptr) continue;
    const Status closed = co_await connection->AsyncClose(deadline);
    if (!closed.ok()) spdlog::warn("server {}: {}", connection->name(), closed.message());
  }
  io_.stop();
}

Result<std::vector<std::optional<Welcome>>> ConnectionSet::AwaitWelcomes(TimePoint limit) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, limit, [this] { return missing_ == 0 || !failure_.ok(); });
  DCN_RETURN_IF_ERROR(failure_);
  if (missing_ == 0) return welcomes_;
  return Error(StatusCode::kDeadlineExceeded,
               "{} servers are not connected in time: the look-up of their host does not return",
               missing_);
}

void ConnectionSet::OnWelcome(std::size_t place, const Result<Welcome>& welcome) {
  {
    const std::lock_guard lock(mutex_);
    if (welcome.ok()) {
      welcomes_[place] = *welcome;
      --missing_;
    } else if (failure_.ok()) {
      failure_ = welcome.status();
    }
  }
  changed_.notify_all();
}

void ConnectionSet::OnException(std::string_view where, std::string_view what) {
  const Status failure = Error(StatusCode::kInternal, "internal error in {}: {}", where, what);
  spdlog::critical("{}", failure.message());
  CloseAll(failure);
}

void ConnectionSet::CloseAll(const Status& reason) {
  for (const auto& connection : connections_) {
    if (connection != nullptr) connection->Close(reason);
  }
}

void ConnectionSet::Close() {
  asio::post(io_, [this] { CloseAll(Status(StatusCode::kCancelled, "closed by this process")); });
}

Result<std::size_t> ConnectionSet::CountPending() {
  const auto promise = std::make_shared<std::promise<std::size_t>>();
  std::future<std::size_t> count = promise->get_future();
  asio::post(io_, [this, promise] {
    std::size_t pending = 0;
    for (const auto& connection : connections_) {
      if (connection != nullptr) pending += connection->pending();
    }
    promise->set_value(pending);
  });
  if (count.wait_for(kCallTimeout) == std::future_status::ready) return count.get();
  return Status(StatusCode::kInternal, "the client's I/O thread does not answer");
}

}  // namespace dcn::ps
