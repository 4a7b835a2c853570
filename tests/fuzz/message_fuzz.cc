// libFuzzer target: bytes from a stranger through the frame's parser and every decoder.
//
//   cmake -DDCN_FUZZ=ON -DCMAKE_CXX_COMPILER=clang++-14 …
//   mkdir corpus && tests/message_fuzz_seeds corpus
//   tests/message_fuzz -max_total_time=60 corpus
//
// The first byte of an input says which decoder gets the rest; the frame's parser gets all of it.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string_view>
#include <variant>

#include "common/net/frame.h"
#include "tests/ps/message_codecs.h"

namespace dcn {
namespace {

[[noreturn]] void Die(std::string_view what, std::string_view fault) {
  std::fprintf(stderr, "%.*s: %.*s\n", static_cast<int>(what.size()), what.data(),
               static_cast<int>(fault.size()), fault.data());
  std::abort();
}

// A frame that passes has the bytes that its header encodes to.
void TryFrame(std::span<const std::byte> bytes) {
  if (bytes.size() < net::kFrameHeaderBytes) return;
  const auto head = bytes.first<net::kFrameHeaderBytes>();
  const auto decoded = net::DecodeFrameHeader(head, ps::kMaxBodyBytes);
  if (const auto* fault = std::get_if<net::FrameFault>(&decoded)) {
    if (net::FrameFaultText(*fault).empty()) Die("frame", "a fault without text");
    return;
  }
  const auto& header = std::get<net::FrameHeader>(decoded);
  const auto rest = bytes.subspan(net::kFrameHeaderBytes);
  if (header.body_bytes > rest.size()) return;
  const auto body = rest.first(header.body_bytes);
  if (!net::IsBodyIntact(header, body)) return;
  const auto again = net::EncodeFrameHeader(header, body);
  if (!std::equal(again.begin(), again.end(), head.begin()))
    Die("frame", "a header of other bytes");
}

void TryMessage(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  const auto& codecs = ps::testing::kMessageCodecs;
  const auto& codec = codecs[static_cast<std::size_t>(bytes[0]) % codecs.size()];
  // A copy of its own: aligned, and with no byte to spare behind it.
  const ps::Body body(bytes.begin() + 1, bytes.end());
  const std::string_view fault = ps::testing::FindFault(codec, body);
  if (!fault.empty()) Die(codec.name, fault);
}

}  // namespace
}  // namespace dcn

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  dcn::TryFrame(bytes);
  dcn::TryMessage(bytes);
  return 0;
}
