// A TCP proxy that knows frames and does to them what a test wants: holds them up, splits them,
// cuts the connection between or within them.
//
// Sits between clients and one server of this machine. A plan decides, frame by frame; everything
// else is passed on as it comes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/status.h"

namespace dcn::testing {

enum class Direction { kToServer, kToClient };

/// One frame on its way. Headers are not checked: what is no frame has a length all the same.
struct ProxiedFrame {
  std::uint64_t connection = 0;  // from 1, in the order in which they came
  Direction direction{};
  std::uint64_t number = 0;  // from 1, of this connection and direction
  std::uint16_t type = 0;    // as in the header
  std::size_t bytes = 0;     // with the header
};

/// What happens to a frame, in this order.
struct FrameFate {
  std::chrono::milliseconds delay{0};     // it, and what follows it in its direction, waits
  bool is_dropped = false;                // it is not passed on
  std::size_t piece_bytes = 0;            // it is sent in pieces of so many bytes; 0: at once
  std::optional<std::size_t> bytes_left;  // so many bytes are sent, then both ends are closed
};

/// Called on the proxy's thread.
using FramePlan = std::function<FrameFate(const ProxiedFrame& frame)>;

/// Thread safety: all calls may come from any thread.
class TcpProxy {
 public:
  /// Listens on 127.0.0.1, any free port, and passes on to a port of 127.0.0.1. An empty plan
  /// changes nothing. Throws std::runtime_error where it cannot listen.
  explicit TcpProxy(std::uint16_t target, FramePlan plan = {});
  /// Closes everything.
  ~TcpProxy();
  TcpProxy(const TcpProxy&) = delete;
  TcpProxy& operator=(const TcpProxy&) = delete;

  [[nodiscard]] std::uint16_t port() const;
  /// "127.0.0.1:PORT".
  [[nodiscard]] std::string address() const;

  /// Where connections from now on go.
  void set_target(std::uint16_t target);
  /// Closes the connections that are open. Returns when they are closed.
  void CutAll();

  /// Waits until `count` connections have come since the start; false: not within ten seconds.
  [[nodiscard]] bool AwaitConnections(std::uint64_t count);
  /// Connections that bytes_left has cut.
  [[nodiscard]] std::uint64_t cuts() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace dcn::testing
