#include "common/net/connection.h"

#include <algorithm>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

namespace dcn::net {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

// A body's memory starts with at most this and doubles as bytes arrive.
constexpr std::size_t kFirstBodyBytes = std::size_t{1} << 20;
// One call to the system reads at most this; to read more gained nothing.
constexpr std::size_t kMostReadAtOnce = std::size_t{1} << 16;
// As Asio does by itself, and for WriteLongPieces.
constexpr std::size_t kPieceBytes = std::size_t{1} << 16;
constexpr std::size_t kLongPieceBytes = std::size_t{1} << 20;
// Linux 6.15's TCP_RTO_MAX_MS, which older headers lack.
constexpr int kTcpLongestRetransmissionPause = 44;

std::string PeerText(const tcp::socket& socket) {
  boost::system::error_code error;
  const tcp::endpoint endpoint = socket.remote_endpoint(error);
  if (error) return "a peer that is gone";
  const std::string host = endpoint.address().to_string();
  return endpoint.address().is_v6() ? fmt::format("[{}]:{}", host, endpoint.port())
                                    : fmt::format("{}:{}", host, endpoint.port());
}

// These only make failures known sooner: a system that lacks one works without it.
void SetUpSocket(tcp::socket& socket, std::chrono::milliseconds silence) {
  boost::system::error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  const int fd = socket.native_handle();
  const auto set = [fd](int option, int value) {
    ::setsockopt(fd, IPPROTO_TCP, option, &value, sizeof(value));
  };
  constexpr int kProbes = 3;  // one a second, after silence - 3 s
  const int seconds = static_cast<int>(silence.count() / 1000);
  set(TCP_KEEPIDLE, std::max(1, seconds - kProbes));
  set(TCP_KEEPINTVL, 1);
  set(TCP_KEEPCNT, kProbes);
  set(TCP_USER_TIMEOUT, static_cast<int>(silence.count()));
  // What was lost is sent again at least once a second. (The pauses double else: after a network
  // was away for 3.5 s, the next attempt is at 6 s, when both ends have given each other up.)
  set(kTcpLongestRetransmissionPause, 1000);
}

Status ReadEnd(const boost::system::error_code& error) {
  if (error == asio::error::eof) return Status(StatusCode::kUnavailable, "closed by the peer");
  return Status(StatusCode::kUnavailable, error.message());
}

}  // namespace

OutgoingFrame MakeOutgoingFrame(const FrameHeader& header, std::shared_ptr<const FrameBody> body) {
  const std::span<const std::byte> bytes =
      body == nullptr ? std::span<const std::byte>() : std::span<const std::byte>(*body);
  return {.header = EncodeFrameHeader(header, bytes), .body = std::move(body)};
}

Connection::Connection(tcp::socket socket, std::size_t max_queued_bytes,
                       std::chrono::milliseconds silence)
    : socket_(std::move(socket)),
      peer_(PeerText(socket_)),
      max_queued_bytes_(max_queued_bytes),
      has_work_(socket_.get_executor()),
      received_at_(std::chrono::steady_clock::now()),
      sent_at_(received_at_) {
  SetUpSocket(socket_, silence);
}

asio::awaitable<Status> Connection::AsyncReadExactly(std::span<std::byte> bytes) {
  boost::system::error_code error;
  // A long body may take a while, and a peer that sends it is alive: what has come of it counts at
  // once.
  std::size_t counted = 0;
  const auto count = [&](const boost::system::error_code& failure, std::size_t so_far) {
    if (so_far > counted) received_at_ = std::chrono::steady_clock::now();
    bytes_received_ += so_far - std::exchange(counted, so_far);
    return failure ? std::size_t{0} : kMostReadAtOnce;
  };
  const std::size_t all =
      co_await asio::async_read(socket_, asio::buffer(bytes.data(), bytes.size()), count,
                                asio::redirect_error(asio::use_awaitable, error));
  count(error, all);  // Asio does not ask after the last part
  co_return error ? ReadEnd(error) : Status();
}

asio::awaitable<ReadResult> Connection::AsyncRead(std::size_t max_body_bytes, FrameBody& body) {
  std::array<std::byte, kFrameHeaderBytes> bytes;
  Status status = co_await AsyncReadExactly(bytes);
  if (!status.ok()) co_return status;
  const auto decoded = DecodeFrameHeader(bytes, max_body_bytes);
  if (const auto* fault = std::get_if<FrameFault>(&decoded)) co_return *fault;
  const FrameHeader header = std::get<FrameHeader>(decoded);
  body.clear();
  while (body.size() < header.body_bytes) {
    const std::size_t start = body.size();
    const std::size_t room = std::max({body.capacity(), 2 * start, kFirstBodyBytes});
    body.resize(std::min<std::size_t>(header.body_bytes, room));
    status = co_await AsyncReadExactly(std::span(body).subspan(start));
    if (!status.ok()) co_return status;
  }
  if (!IsBodyIntact(header, body)) co_return FrameFault::kBodyChecksum;
  co_return header;
}

bool Connection::Send(OutgoingFrame frame) {
  const std::size_t bytes = frame.body == nullptr ? 0 : frame.body->size();
  if (!is_open() || is_finishing_) return false;
  if (!queue_.empty() && queued_bytes_ + bytes + kFrameHeaderBytes > max_queued_bytes_) {
    return false;
  }
  queued_bytes_ += bytes + kFrameHeaderBytes;
  queue_.push_back(std::move(frame));
  has_work_.cancel();
  return true;
}

asio::awaitable<void> Connection::AsyncWrite() {
  boost::system::error_code error;
  while (is_open()) {
    if (queue_.empty()) {
      if (is_finishing_) break;
      has_work_.expires_at(asio::steady_timer::time_point::max());
      co_await has_work_.async_wait(asio::redirect_error(asio::use_awaitable, error));
      continue;
    }
    const OutgoingFrame frame = std::move(queue_.front());
    const std::size_t body_bytes = frame.body == nullptr ? 0 : frame.body->size();
    const std::array<asio::const_buffer, 2> buffers = {
        asio::buffer(frame.header),
        asio::buffer(body_bytes == 0 ? nullptr : frame.body->data(), body_bytes)};
    const auto most = [this](const boost::system::error_code& failure, std::size_t /*so_far*/) {
      if (failure) return std::size_t{0};
      return has_long_pieces_ ? kLongPieceBytes : kPieceBytes;
    };
    bytes_sent_ += co_await asio::async_write(socket_, buffers, most,
                                              asio::redirect_error(asio::use_awaitable, error));
    queue_.pop_front();
    queued_bytes_ -= body_bytes + kFrameHeaderBytes;
    sent_at_ = std::chrono::steady_clock::now();
    if (error) break;
  }
  Close();
}

void Connection::FinishWriting() {
  is_finishing_ = true;
  has_work_.cancel();
}

void Connection::Close() {
  if (socket_.is_open()) {
    boost::system::error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_both, ignored);
    socket_.close(ignored);
  }
  has_work_.cancel();
}

}  // namespace dcn::net
