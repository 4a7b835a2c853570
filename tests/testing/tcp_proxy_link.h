// One connection through a proxy (tcp_proxy.h): two sockets that are closed together, and what
// happens to the frames between them.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "tests/testing/frame_fate.h"
#include "tests/testing/tcp_proxy.h"

namespace dcn::testing {

/// Thread safety: none; confined to the thread of the sockets' executor. Shared by its two tasks.
class ProxyLink {
 public:
  /// accepted: the client's socket. plan and counts outlive this.
  ProxyLink(std::uint64_t number, boost::asio::ip::tcp::socket accepted, const FramePlan& plan,
            ProxyCounts& counts);

  /// Connects to the server. False: it does not listen, or the link was closed; it is closed.
  boost::asio::awaitable<bool> AsyncConnect(std::uint16_t port);

  /// Passes frames of one direction on until an end closes, then closes both. One task each.
  static boost::asio::awaitable<void> AsyncPass(std::shared_ptr<ProxyLink> link,
                                                Direction direction);

  /// Closes both ends at once.
  void Close();

 private:
  using Bytes = std::vector<std::byte>;
  // A copy that is sent again once so many frames of its direction have gone.
  struct Copy {
    std::uint64_t due = 0;
    Bytes frame;
  };
  // One direction.
  struct Lane {
    boost::asio::steady_timer timer;
    std::uint64_t frames = 0;  // that have come
    Bytes frame{};             // the one that came last
    Bytes held{};              // the one that is held back; empty: none
    FrameFate held_fate{};
    std::deque<Copy> copies{};  // by `due`
  };

  boost::asio::ip::tcp::socket& From(Direction direction);
  boost::asio::ip::tcp::socket& To(Direction direction);
  Lane& LaneOf(Direction direction);

  // All of them: false: the connection is closed, or is to be.
  boost::asio::awaitable<bool> AsyncPassNext(Direction direction);
  boost::asio::awaitable<bool> AsyncRead(Direction direction, std::span<std::byte> bytes);
  boost::asio::awaitable<bool> AsyncPassFrame(Direction direction, std::span<std::byte> frame,
                                              FrameFate fate);
  boost::asio::awaitable<bool> AsyncPassCopies(Direction direction);
  boost::asio::awaitable<bool> AsyncWrite(Direction direction, std::span<const std::byte> bytes);
  boost::asio::awaitable<bool> AsyncWait(Direction direction, std::chrono::milliseconds time);

  // Whether more bytes come within kHoldLimit.
  boost::asio::awaitable<bool> AsyncAwaitMore(Direction direction);
  FrameFate DecideFate(Direction direction, const Bytes& frame);
  void Flip(Direction direction, std::span<std::byte> frame, std::size_t bit);
  // One end was found closed: that of the client, or of the server.
  void OnEnd(bool is_clients);

  const std::uint64_t number_;
  const FramePlan& plan_;
  ProxyCounts& counts_;
  bool is_closed_ = false;
  std::optional<Direction> flipped_;
  boost::asio::ip::tcp::socket client_;
  boost::asio::ip::tcp::socket server_;
  std::array<Lane, 2> lanes_;
};

}  // namespace dcn::testing
