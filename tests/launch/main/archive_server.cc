#include "tests/launch/main/archive_server.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <fstream>
#include <netinet/in.h>
#include <stdexcept>
#include <string_view>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

#include <fmt/core.h>

namespace dcn::testing {
namespace {

void SendAll(int connection, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

// A request's head, up to the empty line.
std::string ReceiveHead(int connection) {
  std::string head;
  std::array<char, 4096> buffer;
  while (head.find("\r\n\r\n") == std::string::npos) {
    const ssize_t count = ::recv(connection, buffer.data(), buffer.size(), 0);
    if (count <= 0) break;
    head.append(buffer.data(), static_cast<std::size_t>(count));
  }
  return head;
}

}  // namespace

ArchiveServer::ArchiveServer(std::string content, Behavior behavior, std::filesystem::path log)
    : content_(std::move(content)), behavior_(behavior), log_(std::move(log)) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener, generic, length) != 0 || ::listen(listener, 8) != 0 ||
      ::getsockname(listener, generic, &length) != 0) {
    throw std::runtime_error("cannot listen on loopback");
  }
  port_ = ntohs(address.sin_port);
  process_ = ::fork();
  if (process_ == 0) Serve(listener);
  ::close(listener);
}

ArchiveServer::~ArchiveServer() {
  ::kill(process_, SIGKILL);
  ::waitpid(process_, nullptr, 0);
}

std::string ArchiveServer::url() const {
  return fmt::format("http://127.0.0.1:{}/archive.zip", port_);
}

void ArchiveServer::Serve(int listener) const {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (;;) {
    const int connection = ::accept(listener, nullptr, nullptr);
    if (connection < 0) ::_exit(1);
    Answer(connection);
    ::close(connection);
  }
}

void ArchiveServer::Answer(int connection) const {
  const std::string head = ReceiveHead(connection);
  std::ofstream(log_, std::ios::app) << head << std::flush;
  if (behavior_.has_nothing) {
    return SendAll(connection, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
  }
  std::size_t first = 0;
  const std::string_view range = "Range: bytes=";
  if (const std::size_t at = head.find(range); at != std::string::npos && behavior_.honors_ranges) {
    first = std::stoul(head.substr(at + range.size()));
    if (first >= content_.size()) {
      return SendAll(connection, "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n");
    }
  }
  const std::string_view body = std::string_view(content_).substr(first);
  const std::string status =
      first == 0 ? std::string("200 OK\r\n")
                 : fmt::format("206 Partial Content\r\nContent-Range: bytes {}-{}/{}\r\n", first,
                               content_.size() - 1, content_.size());
  SendAll(connection, fmt::format("HTTP/1.1 {}Content-Length: {}\r\nConnection: close\r\n\r\n",
                                  status, body.size()));
  SendAll(connection, behavior_.cut_after == 0 ? body : body.substr(0, behavior_.cut_after));
}

}  // namespace dcn::testing
