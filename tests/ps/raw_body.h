// Bodies of messages written by hand, so that the layout is told twice: by the encoders and here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/bytes.h"
#include "ps/message.h"

namespace dcn::ps::testing {

/// Appends what it is given, in little-endian order.
class RawBody {
 public:
  RawBody& U8(std::uint8_t value) { return Put(value); }
  RawBody& U16(std::uint16_t value) { return Put(value); }
  RawBody& U32(std::uint32_t value) { return Put(value); }
  RawBody& U64(std::uint64_t value) { return Put(value); }
  RawBody& F32(float value) { return Put(value); }
  RawBody& Text(std::string_view text) {
    U32(static_cast<std::uint32_t>(text.size()));
    for (const char c : text) Put(c);
    return *this;
  }
  /// As many bytes as are missing to a multiple of 8.
  RawBody& Pad(std::uint8_t value = 0) {
    while (body_.size() % 8 != 0) U8(value);
    return *this;
  }
  [[nodiscard]] const Body& body() const { return body_; }

 private:
  // Not inlined: g++ 12 sees overflows in long chains of it that are none.
  template <typename T>
  [[gnu::noinline]] RawBody& Put(T value) {
    body_.resize(body_.size() + sizeof(value));
    StoreLittleEndian(value, body_.data() + body_.size() - sizeof(value));
    return *this;
  }

  Body body_;
};

}  // namespace dcn::ps::testing
