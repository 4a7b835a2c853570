#include "common/net/blocking_connection.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <system_error>
#include <utility>
#include <variant>

namespace dcn::net {
namespace {

using TimePoint = BlockingConnection::TimePoint;
using AddressList = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

Status LostError(const Address& address, int error) {
  return Error(StatusCode::kUnavailable, "{}: {}", address.ToString(),
               std::generic_category().message(error));
}

// Whoever listens there is not whom this process looks for.
Status NotAFrame(const Address& address, FrameFault fault) {
  return Error(StatusCode::kUnavailable, "{}: answers with what is no frame: {}",
               address.ToString(), FrameFaultText(fault));
}

// Waits until the socket can be read or written.
Status Await(int socket, short events, const Address& address, TimePoint deadline) {
  while (true) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    const int timeout = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 1'000'000));
    pollfd waiting = {.fd = socket, .events = events, .revents = 0};
    const int ready = ::poll(&waiting, 1, timeout);
    if (ready > 0) return Status();
    if (ready < 0 && errno != EINTR) return LostError(address, errno);
    if (timeout == 0) {
      return Error(StatusCode::kDeadlineExceeded, "{}: no answer in time", address.ToString());
    }
  }
}

Result<AddressList> Resolve(const Address& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error =
      ::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (error != 0) {
    return Error(StatusCode::kInvalidArgument, "cannot resolve the host of {}: {}",
                 address.ToString(), ::gai_strerror(error));
  }
  return AddressList(found, &::freeaddrinfo);
}

// Without it, a body waits until the peer has acknowledged its header: 40 ms.
void SendAtOnce(int socket) {
  const int yes = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
}

Status FinishConnecting(int socket, const addrinfo& to, const Address& address,
                        TimePoint deadline) {
  if (::connect(socket, to.ai_addr, to.ai_addrlen) == 0) return Status();
  if (errno != EINPROGRESS) return LostError(address, errno);
  DCN_RETURN_IF_ERROR(Await(socket, POLLOUT, address, deadline));
  int error = 0;
  socklen_t length = sizeof(error);
  ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &length);
  return error == 0 ? Status() : LostError(address, error);
}

}  // namespace

Result<BlockingConnection> BlockingConnection::Connect(const Address& address, TimePoint deadline) {
  DCN_ASSIGN_OR_RETURN(const AddressList addresses, Resolve(address));
  Status status = LostError(address, EADDRNOTAVAIL);
  for (const addrinfo* to = addresses.get(); to != nullptr; to = to->ai_next) {
    FileDescriptor socket(
        ::socket(to->ai_family, to->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, to->ai_protocol));
    status = socket.is_open() ? FinishConnecting(socket.get(), *to, address, deadline)
                              : LostError(address, errno);
    if (!status.ok()) continue;
    SendAtOnce(socket.get());
    return BlockingConnection(address, std::move(socket));
  }
  return Error(status.code(), "cannot connect to {}", status.message());
}

Status BlockingConnection::SendBytes(std::span<const std::byte> bytes, TimePoint deadline) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN || errno == EINTR) {
      DCN_RETURN_IF_ERROR(Await(socket_.get(), POLLOUT, address_, deadline));
    } else {
      return LostError(address_, errno);
    }
  }
  return Status();
}

Status BlockingConnection::SendFrame(const FrameHeader& header, std::span<const std::byte> body,
                                     TimePoint deadline) {
  DCN_RETURN_IF_ERROR(SendBytes(EncodeFrameHeader(header, body), deadline));
  return SendBytes(body, deadline);
}

Status BlockingConnection::ReceiveExactly(std::span<std::byte> bytes, TimePoint deadline) {
  while (!bytes.empty()) {
    const ssize_t received = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
    if (received > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(received));
    } else if (received == 0) {
      return Error(StatusCode::kUnavailable, "{}: closed by the peer", address_.ToString());
    } else if (errno == EAGAIN || errno == EINTR) {
      DCN_RETURN_IF_ERROR(Await(socket_.get(), POLLIN, address_, deadline));
    } else {
      return LostError(address_, errno);
    }
  }
  return Status();
}

Result<BlockingConnection::Frame> BlockingConnection::ReceiveFrame(std::size_t max_body_bytes,
                                                                   TimePoint deadline) {
  std::array<std::byte, kFrameHeaderBytes> bytes{};
  DCN_RETURN_IF_ERROR(ReceiveExactly(bytes, deadline));
  const auto decoded = DecodeFrameHeader(bytes, max_body_bytes);
  if (const auto* fault = std::get_if<FrameFault>(&decoded)) {
    return NotAFrame(address_, *fault);
  }
  Frame frame{.header = std::get<FrameHeader>(decoded), .body = {}};
  frame.body.resize(frame.header.body_bytes);
  DCN_RETURN_IF_ERROR(ReceiveExactly(frame.body, deadline));
  if (!IsBodyIntact(frame.header, frame.body)) {
    return NotAFrame(address_, FrameFault::kBodyChecksum);
  }
  return frame;
}

}  // namespace dcn::net
