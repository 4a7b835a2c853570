// A TCP connection that sends and receives whole frames, one call after the other, each within a
// deadline: for programs that ask one question, and for tests that want every byte in their hands.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

#include "common/byte_buffer.h"
#include "common/file/file_descriptor.h"
#include "common/net/address.h"
#include "common/net/frame.h"
#include "common/status.h"

namespace dcn::net {

/// Thread safety: none. After an error the connection is of no use any more.
class BlockingConnection {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  struct Frame {
    FrameHeader header;
    ByteBuffer body;
  };

  /// Tries every address of the host's name. kUnavailable: no connection, says why; names the
  /// address. kDeadlineExceeded. kInvalidArgument: a name that cannot be resolved.
  [[nodiscard]] static Result<BlockingConnection> Connect(const Address& address,
                                                          TimePoint deadline);

  /// Sends bytes as they are. kUnavailable: the connection is gone. kDeadlineExceeded.
  [[nodiscard]] Status SendBytes(std::span<const std::byte> bytes, TimePoint deadline);

  /// Sends one frame; lengths and checksums are filled in.
  [[nodiscard]] Status SendFrame(const FrameHeader& header, std::span<const std::byte> body,
                                 TimePoint deadline);

  /// Receives one frame. kUnavailable: the connection is gone, or what came is none: somebody else
  /// listens there. kDeadlineExceeded.
  [[nodiscard]] Result<Frame> ReceiveFrame(std::size_t max_body_bytes, TimePoint deadline);

 private:
  BlockingConnection(Address address, FileDescriptor socket)
      : address_(std::move(address)), socket_(std::move(socket)) {}

  [[nodiscard]] Status ReceiveExactly(std::span<std::byte> bytes, TimePoint deadline);

  Address address_;
  FileDescriptor socket_;  // does not block
};

}  // namespace dcn::net
