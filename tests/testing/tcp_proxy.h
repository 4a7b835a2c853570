// A TCP proxy that knows frames and does to them what a test wants: holds them up, splits, repeats,
// reorders and damages them, cuts the connection between or within them.
//
// Sits between clients and one server of this machine. A plan (frame_fate.h) decides, frame by
// frame; everything else is passed on as it comes. Holds one frame a direction, and copies of those
// that are to be repeated.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "tests/testing/frame_fate.h"

namespace dcn::testing {

/// What was done to frames since the start.
struct ProxyCounts {
  std::uint64_t connections = 0;
  std::uint64_t cuts = 0;             // connections that bytes_left has closed
  std::uint64_t held_back = 0;        // frames that went behind another one
  std::uint64_t repeated = 0;         // frames that were sent once more
  std::uint64_t flips_to_server = 0;  // frames of which a bit was flipped
  std::uint64_t flips_to_client = 0;
  std::uint64_t flips_refused = 0;  // after which the end that got it was the one that closed
};

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
  [[nodiscard]] ProxyCounts counts() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace dcn::testing
