#include "common/net/frame.h"

#include <limits>

#include "common/bytes.h"
#include "common/check.h"
#include "common/digest.h"

namespace dcn::net {
namespace {

constexpr std::uint32_t kMagic = 0x464e4344;  // "DCNF"

// Where the fields start; the table is in frame.h.
constexpr std::size_t kVersionAt = 4;
constexpr std::size_t kTypeAt = 6;
constexpr std::size_t kFlagsAt = 8;
constexpr std::size_t kBodyBytesAt = 12;
constexpr std::size_t kRequestIdAt = 16;
constexpr std::size_t kJobEpochAt = 24;
constexpr std::size_t kBodyChecksumAt = 32;
constexpr std::size_t kHeaderChecksumAt = 40;
static_assert(kHeaderChecksumAt + sizeof(std::uint64_t) == kFrameHeaderBytes);

}  // namespace

std::string_view FrameFaultText(FrameFault fault) {
  switch (fault) {
    case FrameFault::kMagic:
      return "wrong magic number";
    case FrameFault::kHeaderChecksum:
      return "wrong checksum of the header";
    case FrameFault::kVersion:
      return "another version of the protocol";
    case FrameFault::kBodyTooLong:
      return "body above the limit";
    case FrameFault::kBodyChecksum:
      return "wrong checksum of the body";
  }
  return "unknown fault";
}

std::array<std::byte, kFrameHeaderBytes> EncodeFrameHeader(const FrameHeader& header,
                                                           std::span<const std::byte> body) {
  DCN_CHECK_LE(body.size(), std::size_t{std::numeric_limits<std::uint32_t>::max()});
  std::array<std::byte, kFrameHeaderBytes> bytes;
  std::byte* const start = bytes.data();
  StoreLittleEndian(kMagic, start);
  StoreLittleEndian(kProtocolVersion, start + kVersionAt);
  StoreLittleEndian(header.type, start + kTypeAt);
  StoreLittleEndian(header.flags, start + kFlagsAt);
  StoreLittleEndian(static_cast<std::uint32_t>(body.size()), start + kBodyBytesAt);
  StoreLittleEndian(header.request_id, start + kRequestIdAt);
  StoreLittleEndian(header.job_epoch, start + kJobEpochAt);
  StoreLittleEndian(Checksum64(body), start + kBodyChecksumAt);
  StoreLittleEndian(Checksum64(std::span(bytes).first(kHeaderChecksumAt)),
                    start + kHeaderChecksumAt);
  return bytes;
}

std::variant<FrameHeader, FrameFault> DecodeFrameHeader(
    std::span<const std::byte, kFrameHeaderBytes> bytes, std::size_t max_body_bytes) {
  const std::byte* const start = bytes.data();
  if (LoadLittleEndian<std::uint32_t>(start) != kMagic) return FrameFault::kMagic;
  if (LoadLittleEndian<std::uint64_t>(start + kHeaderChecksumAt) !=
      Checksum64(bytes.first(kHeaderChecksumAt))) {
    return FrameFault::kHeaderChecksum;
  }
  if (LoadLittleEndian<std::uint16_t>(start + kVersionAt) != kProtocolVersion) {
    return FrameFault::kVersion;
  }
  const FrameHeader header = {
      .type = LoadLittleEndian<std::uint16_t>(start + kTypeAt),
      .flags = LoadLittleEndian<std::uint32_t>(start + kFlagsAt),
      .body_bytes = LoadLittleEndian<std::uint32_t>(start + kBodyBytesAt),
      .request_id = LoadLittleEndian<std::uint64_t>(start + kRequestIdAt),
      .job_epoch = LoadLittleEndian<std::uint64_t>(start + kJobEpochAt),
      .body_checksum = LoadLittleEndian<std::uint64_t>(start + kBodyChecksumAt),
  };
  if (header.body_bytes > max_body_bytes) return FrameFault::kBodyTooLong;
  return header;
}

bool IsBodyIntact(const FrameHeader& header, std::span<const std::byte> body) {
  return body.size() == header.body_bytes && Checksum64(body) == header.body_checksum;
}

}  // namespace dcn::net
