#include "ps/server/server_session.h"

#include <utility>
#include <variant>

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "common/check.h"

namespace dcn::ps {
namespace {

namespace asio = boost::asio;

// Requests of one connection that shards work on at a time; then it is not read for a while.
constexpr std::size_t kMaxOwed = 1024;
// Answers that wait for one peer to read them.
constexpr std::size_t kMaxQueuedBytes = kMaxBodyBytes;

net::OutgoingFrame AnswerFrame(std::uint64_t request_id, std::uint64_t epoch, MessageType type,
                               std::shared_ptr<const Body> body) {
  return net::MakeOutgoingFrame(
      {.type = static_cast<std::uint16_t>(type), .request_id = request_id, .job_epoch = epoch},
      std::move(body));
}

std::shared_ptr<const Body> FailureBody(const Status& status) {
  auto body = std::make_shared<Body>();
  Encode(Failure{status.code(), status.message()}, *body);
  return body;
}

}  // namespace

// Builds the answer on the shard's thread and takes it to the I/O thread.
class RemoteReply final : public Reply {
 public:
  RemoteReply(const std::shared_ptr<ServerSession>& session, asio::any_io_executor executor,
              std::uint64_t request_id, MessageType good)
      : session_(session),
        executor_(std::move(executor)),
        request_id_(request_id),
        epoch_(session->sender().epoch),
        good_(good),
        bodies_(session->bodies_) {}

  ~RemoteReply() override {
    if (is_sent_) return;
    asio::post(executor_, [session = session_] {
      if (const auto alive = session.lock()) alive->OnReply(nullptr, false);
    });
  }

  std::span<float> MakeRoom(Step step, StepFlags flags, std::size_t count) override {
    body_ = bodies_.Take();
    return EncodeRows(step, count, *body_, flags);
  }
  void SetFlags(StepFlags /*flags*/) override {
    DCN_CHECK(false);  // rows that go over the wire have no place here
  }
  void SetReport(const SnapshotReport& report) override {
    body_ = bodies_.Take();
    Encode(report, *body_);
  }

  void Send(const Status& status) override {
    is_sent_ = true;
    const MessageType type = status.ok() ? good_ : MessageType::kFailure;
    net::OutgoingFrame frame = AnswerFrame(request_id_, epoch_, type,
                                           status.ok() ? std::move(body_) : FailureBody(status));
    asio::post(executor_, [session = session_, frame = std::move(frame), is_ok = status.ok()] {
      if (const auto alive = session.lock()) alive->OnReply(&frame, !is_ok);
    });
  }

 private:
  const std::weak_ptr<ServerSession> session_;  // looked at on the I/O thread only
  const asio::any_io_executor executor_;
  const std::uint64_t request_id_;
  const std::uint64_t epoch_;
  const MessageType good_;
  BodyPool bodies_;
  std::shared_ptr<Body> body_;
  bool is_sent_ = false;
};

ServerSession::ServerSession(ConnectionId id, asio::ip::tcp::socket socket, SessionHandler& handler)
    : id_(id),
      connection_(std::move(socket), kMaxQueuedBytes),
      handler_(handler),
      has_room_(connection_.executor()) {}

asio::awaitable<void> ServerSession::AsyncRead(std::shared_ptr<ServerSession> self) {
  net::Connection& connection = self->connection_;
  std::shared_ptr<Body> body;
  while (connection.is_open()) {
    co_await self->AsyncAwaitRoom();
    if (body == nullptr) body = self->bodies_.Take();
    const bool is_worker = self->is_welcome_ && self->role_ == Role::kWorker;
    const net::ReadResult result =
        co_await connection.AsyncRead(is_worker ? kMaxBodyBytes : kMaxHelloBytes, *body);
    if (const auto* header = std::get_if<net::FrameHeader>(&result)) {
      if (!self->is_finishing_) self->handler_.OnFrame(*self, *header, body);
      continue;
    }
    if (const auto* fault = std::get_if<net::FrameFault>(&result)) {
      self->handler_.OnRefused(*self, ToRefusal(*fault));
    }
    break;
  }
  self->Close();
  self->handler_.OnClosed(*self);
}

asio::awaitable<void> ServerSession::AsyncWrite(std::shared_ptr<ServerSession> self) {
  co_await self->connection_.AsyncWrite();
}

asio::awaitable<void> ServerSession::AsyncAwaitRoom() {
  boost::system::error_code cancelled;
  while (owed_ >= kMaxOwed && connection_.is_open()) {
    has_room_.expires_at(asio::steady_timer::time_point::max());
    co_await has_room_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
  }
}

void ServerSession::Welcome(Role role, const Sender& sender) {
  is_welcome_ = true;
  role_ = role;
  sender_ = sender;
}

void ServerSession::StartHeartbeats(const net::Heartbeat& heartbeat, TimePoint now) {
  pulse_.emplace(heartbeat, now);
}

bool ServerSession::FeelPulse(TimePoint now) {
  if (!pulse_ || !connection_.is_open()) return true;
  const bool is_read = owed_ < kMaxOwed;
  const bool is_sending = connection_.queued_bytes() > 0;
  const net::Pulse::Action action = pulse_->Look(is_read ? connection_.received_at() : now,
                                                 is_sending ? now : connection_.sent_at(), now);
  if (action == net::Pulse::Action::kSendHeartbeat) {
    Answer(kHeartbeatId, MessageType::kPong, nullptr);
  }
  return action != net::Pulse::Action::kGiveUp;
}

ServerSession::TimePoint ServerSession::next_look() const {
  return pulse_ && connection_.is_open() ? pulse_->next_look() : TimePoint::max();
}

void ServerSession::Answer(std::uint64_t request_id, MessageType type,
                           std::shared_ptr<const Body> body) {
  Send(AnswerFrame(request_id, sender_.epoch, type, std::move(body)));
}

void ServerSession::AnswerFailure(std::uint64_t request_id, const Status& status) {
  Answer(request_id, MessageType::kFailure, FailureBody(status));
  handler_.OnFailureSent();
}

std::unique_ptr<Reply> ServerSession::MakeReply(std::uint64_t request_id, MessageType good) {
  ++owed_;
  return std::make_unique<RemoteReply>(shared_from_this(), connection_.executor(), request_id,
                                       good);
}

void ServerSession::OnReply(const net::OutgoingFrame* frame, bool is_failure) {
  --owed_;
  has_room_.cancel();
  if (frame != nullptr) Send(*frame);
  if (is_failure) handler_.OnFailureSent();
  if (is_finishing_ && owed_ == 0) connection_.FinishWriting();
}

void ServerSession::Send(const net::OutgoingFrame& frame) {
  if (!connection_.is_open() || connection_.is_finishing() || connection_.Send(frame)) return;
  handler_.OnRefused(*this, Refusal::kSlowReader);
  Close();
}

void ServerSession::Close() {
  connection_.Close();
  has_room_.cancel();
}

void ServerSession::Finish() {
  is_finishing_ = true;
  if (owed_ == 0) connection_.FinishWriting();
}

}  // namespace dcn::ps
