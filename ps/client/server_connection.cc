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
      refused_timeout_(options.refused_timeout),
      heartbeat_(options.heartbeat),
      is_only_server_(options.is_only_server),
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

void ServerConnection::FeelPulse(TimePoint now) {
  if (connection_ == nullptr || !pulse_) return;
  const bool is_sending = connection_->queued_bytes() > 0;
  switch (
      pulse_->Look(connection_->received_at(), is_sending ? now : connection_->sent_at(), now)) {
    case net::Pulse::Action::kNone:
      break;
    case net::Pulse::Action::kSendHeartbeat:
      // None of the multiplexer's requests: nobody waits for the answer, and it is not sent again.
      (void)connection_->Send(
          net::MakeOutgoingFrame({.type = static_cast<std::uint16_t>(MessageType::kPing),
                                  .request_id = kHeartbeatId,
                                  .job_epoch = goal_.epoch},
                                 nullptr));
      break;
    case net::Pulse::Action::kGiveUp:
      Close(Error(StatusCode::kUnavailable, "the server was silent for {:g} s",
                  std::chrono::duration<double>(heartbeat_.silence).count()));
      break;
  }
}

// A server that was silent before the connection broke has had a part of its time. (Both ends of a
// network that carries nothing may give up at the same moment, and one of them closes first.)
std::chrono::milliseconds ServerConnection::TimeToReturn() {
  if (!pulse_) return reconnect_timeout_;
  const TimePoint now = std::chrono::steady_clock::now();
  (void)pulse_->Look(connection_->received_at(), now, now);
  const auto left = std::chrono::ceil<milliseconds>(pulse_->gives_up_at() - now);
  return std::min(reconnect_timeout_, std::max(left, refused_timeout_));
}

asio::awaitable<void> ServerConnection::AsyncRun() {
  std::string context = "server " + name_;
  while (!is_closed_) {
    Result<OpenedConnection> opened = co_await opener_.AsyncOpen(goal_);
    if (!opened.ok()) {
      ReportFirst(WithContext("server " + name_, opened.status()));
      // Requests name the server themselves.
      FailAll(goal_.is_return ? WithContext(context, opened.status()) : opened.status());
      co_return;
    }
    if (goal_.is_return) ++reconnects_;
    goal_.is_return = true;
    goal_.incarnation = opened->welcome.incarnation;
    goal_.refused_timeout = refused_timeout_;
    connection_ = std::move(opened->connection);
    if (is_only_server_) connection_->WriteLongPieces();
    if (goal_.hello.role == Role::kWorker) {
      pulse_.emplace(heartbeat_, std::chrono::steady_clock::now());
      clock_.cancel();
    }
    ReportFirst(opened->welcome);
    const Status lost = co_await AsyncServe();
    goal_.timeout = TimeToReturn();
    connection_->Close();
    connection_.reset();
    pulse_.reset();
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
  if (header.job_epoch != goal_.epoch) {
    return Error(StatusCode::kDataLoss, "an answer of epoch {} to a request of epoch {}",
                 header.job_epoch, goal_.epoch);
  }
  const bool is_pong = header.type == static_cast<std::uint16_t>(MessageType::kPong);
  if (is_pong && header.request_id == kHeartbeatId && header.flags == 0) {
    return DecodeEmpty(MessageType::kPong, body_);
  }
  // Told unasked: nothing more will come of this epoch.
  const bool is_failure = header.type == static_cast<std::uint16_t>(MessageType::kFailure);
  if (is_failure && header.request_id == kUnasked && header.flags == 0) {
    DCN_ASSIGN_OR_RETURN(const Failure failure, DecodeFailure(body_));
    Close(Status(failure.code, failure.text));
    return Status(StatusCode::kCancelled, "the epoch is broken");
  }
  bytes_received_ += net::kFrameHeaderBytes + body_.size();
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
    clock_.expires_at(next_deadline());
    co_await clock_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
    const TimePoint now = std::chrono::steady_clock::now();
    multiplexer_.Expire(now);
    FeelPulse(now);
  }
}

ServerConnection::TimePoint ServerConnection::next_deadline() const {
  const TimePoint request = multiplexer_.next_deadline().value_or(TimePoint::max());
  return pulse_ ? std::min(request, pulse_->next_look()) : request;
}

void ServerConnection::ReportFirst(Result<Welcome> welcome) {
  if (on_first_ == nullptr) return;
  std::exchange(on_first_, nullptr)(std::move(welcome));
}

void ServerConnection::FailAll(const Status& reason) {
  {
    const std::lock_guard lock(end_mutex_);
    if (end_.ok()) end_ = reason;
  }
  multiplexer_.FailAll(reason);
}

Status ServerConnection::end() const {
  const std::lock_guard lock(end_mutex_);
  return end_.ok() ? end_ : WithContext("server " + name_, end_);
}

void ServerConnection::Close(const Status& reason) {
  is_closed_ = true;
  FailAll(reason);
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
