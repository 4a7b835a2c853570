// A frame: the unit of the wire protocol, a header of fixed size and a body of the length it names.
//
// A codec only, without sockets: whoever reads a connection takes kFrameHeaderBytes, decodes them,
// and only then takes memory for the body. What a body says is the business of others
// (ps/message.h).
//
//   offset  size  field (little-endian)
//        0     4  magic: "DCNF"
//        4     2  protocol version
//        6     2  type of message
//        8     4  flags
//       12     4  bytes of the body
//       16     8  request id: an answer carries the id of its request
//       24     8  epoch of the job
//       32     8  XXH3-64 of the body
//       40     8  XXH3-64 of bytes 0 to 39
//
// Magic, version and the header's checksum stay where they are in every version.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <variant>

namespace dcn::net {

inline constexpr std::size_t kFrameHeaderBytes = 48;
inline constexpr std::uint16_t kProtocolVersion = 2;

/// What a header says. Type and flags have no meaning here.
struct FrameHeader {
  std::uint16_t type = 0;
  std::uint32_t flags = 0;
  std::uint32_t body_bytes = 0;
  std::uint64_t request_id = 0;
  std::uint64_t job_epoch = 0;
  std::uint64_t body_checksum = 0;
  friend bool operator==(const FrameHeader&, const FrameHeader&) = default;
};

/// Why bytes are no frame. A connection that sent such bytes cannot be trusted to be in step and is
/// closed.
enum class FrameFault : std::uint8_t {
  kMagic,           // not this protocol at all
  kHeaderChecksum,  // a header that changed on its way
  kVersion,         // another version of this protocol
  kBodyTooLong,     // above the receiver's limit
  kBodyChecksum,    // a body that changed on its way
};
inline constexpr std::size_t kFrameFaults = 5;

/// "wrong magic number", "body above the limit", …
[[nodiscard]] std::string_view FrameFaultText(FrameFault fault);

/// Encodes a header; body_checksum and body_bytes are taken from `body`, not from `header`.
/// REQUIRES: body.size() < 2^32.
[[nodiscard]] std::array<std::byte, kFrameHeaderBytes> EncodeFrameHeader(
    const FrameHeader& header, std::span<const std::byte> body);

/// Decodes and checks a header, before any memory is taken for its body. Checked in the order of
/// FrameFault. max_body_bytes: the most that this receiver takes at this point.
[[nodiscard]] std::variant<FrameHeader, FrameFault> DecodeFrameHeader(
    std::span<const std::byte, kFrameHeaderBytes> bytes, std::size_t max_body_bytes);

/// Whether `body` has the length and the checksum that the header names.
[[nodiscard]] bool IsBodyIntact(const FrameHeader& header, std::span<const std::byte> body);

}  // namespace dcn::net
