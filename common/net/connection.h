// One TCP connection that carries whole frames (frame.h) in both directions.
//
// Reading is asked for frame by frame; writing goes through a queue with a bound, so that neither a
// peer that does not read nor one that claims a huge body takes memory without limit. After any
// failure the connection is dead: closed and replaced, never used again.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "common/byte_buffer.h"
#include "common/net/frame.h"
#include "common/status.h"

namespace dcn::net {

using FrameBody = ByteBuffer;

/// A frame ready to be written: checksums computed, the body shared so that it can be sent again.
struct OutgoingFrame {
  std::array<std::byte, kFrameHeaderBytes> header;
  std::shared_ptr<const FrameBody> body;  // null: empty
};

/// Computes header and checksums; on any thread. REQUIRES: a body below 4 GiB.
[[nodiscard]] OutgoingFrame MakeOutgoingFrame(const FrameHeader& header,
                                              std::shared_ptr<const FrameBody> body);

/// What AsyncRead brings: an intact frame's header; why bytes are no frame; or the end of the
/// connection: kUnavailable, "closed by the peer" or the system's text.
using ReadResult = std::variant<FrameHeader, FrameFault, Status>;

/// Thread safety: none; confined to the thread of the socket's executor. At most one AsyncRead and
/// one AsyncWrite at a time; the connection outlives both.
class Connection {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  /// Sets the socket up: no delay of small frames, a vanished peer noticed within `silence` (of the
  /// network; a peer that is just busy keeps its connection). That is the last resort: heartbeats
  /// (pulse.h) find out sooner. max_queued_bytes: of bodies waiting.
  Connection(boost::asio::ip::tcp::socket socket, std::size_t max_queued_bytes,
             std::chrono::milliseconds silence = std::chrono::milliseconds(10'000));

  /// From now on one call to the system writes up to 1 MiB instead of 64 KiB. Measured over
  /// loopback on two cores, with requests and answers of half a megabyte: a push-pull round with
  /// one server takes a fifth less; a step with two servers took a twelfth longer where workers
  /// wrote so, since the second server waits while the first is written to; between workers that
  /// host the shards it brought nothing.
  void WriteLongPieces() { has_long_pieces_ = true; }

  /// Reads the next frame; its body replaces `body`, whose memory is reused and grows only as bytes
  /// arrive. max_body_bytes: a longer body is FrameFault::kBodyTooLong.
  [[nodiscard]] boost::asio::awaitable<ReadResult> AsyncRead(std::size_t max_body_bytes,
                                                             FrameBody& body);

  /// Queues a frame for AsyncWrite. False: the queue is full, or the connection is closed or
  /// finishing; nothing was queued, and the connection is best closed. An empty queue takes a frame
  /// of any size.
  [[nodiscard]] bool Send(OutgoingFrame frame);

  /// Writes what Send queues, until the connection is closed, fails (which closes it), or has
  /// written all after FinishWriting (which closes it, too). Runs as one task.
  boost::asio::awaitable<void> AsyncWrite();

  /// Takes no more frames and closes the connection once the queue is written.
  void FinishWriting();

  /// Closes at once: AsyncRead and AsyncWrite return. May be repeated.
  void Close();

  [[nodiscard]] boost::asio::any_io_executor executor() { return socket_.get_executor(); }
  [[nodiscard]] bool is_open() const { return socket_.is_open(); }
  [[nodiscard]] bool is_finishing() const { return is_finishing_; }
  [[nodiscard]] std::size_t queued_bytes() const { return queued_bytes_; }
  /// Parts of frames count as they come.
  [[nodiscard]] std::uint64_t bytes_received() const { return bytes_received_; }
  [[nodiscard]] std::uint64_t bytes_sent() const { return bytes_sent_; }
  /// When the last byte came, and when the last frame had gone; before the first: when the
  /// connection was made.
  [[nodiscard]] TimePoint received_at() const { return received_at_; }
  [[nodiscard]] TimePoint sent_at() const { return sent_at_; }
  /// "HOST:PORT" of the other end, as it was when the connection was made.
  [[nodiscard]] const std::string& peer() const { return peer_; }

 private:
  boost::asio::awaitable<Status> AsyncReadExactly(std::span<std::byte> bytes);

  boost::asio::ip::tcp::socket socket_;
  const std::string peer_;
  const std::size_t max_queued_bytes_;
  std::deque<OutgoingFrame> queue_;  // the first may be on its way
  std::size_t queued_bytes_ = 0;
  bool has_long_pieces_ = false;
  bool is_finishing_ = false;
  boost::asio::steady_timer has_work_;  // cancelled when AsyncWrite has to look again
  std::uint64_t bytes_received_ = 0;
  std::uint64_t bytes_sent_ = 0;
  TimePoint received_at_;
  TimePoint sent_at_;
};

}  // namespace dcn::net
