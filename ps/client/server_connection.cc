#include "ps/client/server_connection.h"

#include <algorithm>
#include <utility>
#include <variant>

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace dcn::ps {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

// Between connections that bring nothing: 10 ms, 20 ms, … A server breaks the epoch of a rank that
// stays away for seconds.
constexpr milliseconds kFirstPause{10};
constexpr std::uint32_t kMostDoublings = 5;

Status WithContext(const std::string& context, const Status& status) {
  return Error(status.code(), "{}: {}", context, status.message());
}

}  // namespace

ServerConnection::ServerConnection(asio::any_io_executor executor, Options options,
                                   net::TaskScope::ExceptionHandler on_exception)
    : executor_(std::move(executor)),
      name_(options.addresses.front().ToString()),
      reconnect_timeout_(options.reconnect_timeout),
      goal_{.hello = std::move(options.hello),
            .epoch = options.epoch,
            .incarnation = options.incarnation,
            .timeout = options.connect_timeout},
      multiplexer_(name_),
      clock_(executor_),
      pause_(executor_),
      tasks_(executor_, std::move(on_exception)),
      opener_(executor_, std::move(options.addresses), tasks_) {}

void ServerConnection::Start(FirstHandler on_first) {
  on_first_ = std::move(on_first);
  tasks_.Start("connection to " + name_, AsyncRun());
  tasks_.Start("deadlines of " + name_, AsyncKeepTime());
}

void ServerConnection::Send(RequestMultiplexer::Request request) {
  asio::post(executor_,
             [this, request = std::move(request)]() mutable { Add(std::move(request)); });
}

void ServerConnection::Add(RequestMultiplexer::Request request) {
  const TimePoint deadline = request.deadline;
  (void)multiplexer_.Add(std::move(request));
  if (deadline < clock_.expiry()) clock_.cancel();
  Flush();
}

void ServerConnection::Flush() {
  if (connection_ == nullptr) return;
  while (const auto outgoing = multiplexer_.TakeNextToSend()) {
    const net::FrameHeader header = {.type = static_cast<std::uint16_t>(outgoing->type),
                                     .request_id = outgoing->id,
                                     .job_epoch = goal_.epoch};
    // What a closed connection does not take is sent on the next one.
    if (!connection_->Send(net::MakeOutgoingFrame(header, outgoing->body))) return;
    bytes_sent_ += net::kFrameHeaderBytes + outgoing->body->size();
  }
}

asio::awaitable<void> ServerConnection::AsyncRun() {
  std::string context = "server " + name_;
  while (!is_closed_) {
    Result<OpenedConnection> opened = co_await opener_.AsyncOpen(goal_);
    if (!opened.ok()) {
      ReportFirst(WithContext("server " + name_, opened.status()));
      // Requests name the server themselves.
      multiplexer_.FailAll(goal_.is_return ? WithContext(context, opened.status())
                                           : opened.status());
      co_return;
    }
    if (goal_.is_return) ++reconnects_;
    goal_.is_return = true;
    goal_.incarnation = opened->welcome.incarnation;
    goal_.timeout = reconnect_timeout_;
    connection_ = std::move(opened->connection);
    ReportFirst(opened->welcome);
    const Status lost = co_await AsyncServe();
    connection_->Close();
    connection_.reset();
    multiplexer_.OnDisconnected();
    context = fmt::format("the connection was lost ({}) and did not come back", lost.message());
    co_await AsyncPause();
  }
}

asio::awaitable<Status> ServerConnection::AsyncServe() {
  const std::shared_ptr<net::Connection> connection = connection_;
  answers_ = 0;
  Flush();
  Status lost;
  while (lost.ok()) {
    const net::ReadResult read = co_await connection->AsyncRead(kMaxBodyBytes, body_);
    if (const auto* end = std::get_if<Status>(&read)) {
      lost = *end;
    } else if (const auto* fault = std::get_if<net::FrameFault>(&read)) {
      lost = Status(StatusCode::kDataLoss, std::string(net::FrameFaultText(*fault)));
    } else {
      lost = OnFrame(std::get<net::FrameHeader>(read));
    }
  }
  co_return lost;
}

Status ServerConnection::OnFrame(const net::FrameHeader& header) {
  bytes_received_ += net::kFrameHeaderBytes + body_.size();
  if (header.job_epoch != goal_.epoch) {
    return Error(StatusCode::kDataLoss, "an answer of epoch {} to a request of epoch {}",
                 header.job_epoch, goal_.epoch);
  }
  DCN_RETURN_IF_ERROR(multiplexer_.OnFrame(header, body_));
  ++answers_;  // a wrong one does not count: such a server is not asked again without a pause
  return Status();
}

asio::awaitable<void> ServerConnection::AsyncPause() {
  fruitless_ = answers_ == 0 ? fruitless_ + 1 : 0;
  if (fruitless_ == 0 || is_closed_) co_return;
  pause_.expires_after(kFirstPause * (1U << std::min(fruitless_ - 1, kMostDoublings)));
  boost::system::error_code cancelled;
  co_await pause_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
}

asio::awaitable<void> ServerConnection::AsyncKeepTime() {
  boost::system::error_code cancelled;
  while (!is_closed_) {
    clock_.expires_at(multiplexer_.next_deadline().value_or(TimePoint::max()));
    co_await clock_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
    multiplexer_.Expire(std::chrono::steady_clock::now());
  }
}

void ServerConnection::ReportFirst(Result<Welcome> welcome) {
  if (on_first_ == nullptr) return;
  std::exchange(on_first_, nullptr)(std::move(welcome));
}

void ServerConnection::Close(const Status& reason) {
  is_closed_ = true;
  multiplexer_.FailAll(reason);
  ReportFirst(WithContext("server " + name_, reason));
  opener_.Cancel();
  if (connection_ != nullptr) connection_->Close();
  clock_.cancel();
  pause_.cancel();
}

asio::awaitable<Status> ServerConnection::AsyncClose(TimePoint deadline) {
  return tasks_.AsyncClose(deadline);
}

}  // namespace dcn::ps
