// How values stand in the body of a message, for message_encode.cc and message_decode.cc only.
//
// Scalars follow one another without gaps. A text is its length (32 bits) and its bytes. An array
// starts at the next multiple of 8 bytes from the body's start, after bytes that are zero.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string_view>
#include <type_traits>

#include <fmt/core.h>

#include "common/bytes.h"
#include "common/check.h"
#include "common/status.h"
#include "ps/message.h"

namespace dcn::ps {

inline constexpr std::size_t kArrayAlignment = 8;

/// Elements of arrays: their bytes in memory are their bytes in a message.
template <typename T>
concept ArrayElement = std::is_trivially_copyable_v<T> && alignof(T) <= kArrayAlignment;

/// Fills a body from its start, over what is there: memory that is reused is not filled with zeros
/// first. The body ends where the writing ends. Thread safety: none.
class MessageWriter {
 public:
  explicit MessageWriter(Body& body) : body_(body) {}
  ~MessageWriter() { body_.resize(size_); }
  MessageWriter(const MessageWriter&) = delete;
  MessageWriter& operator=(const MessageWriter&) = delete;

  template <ByteScalar T>
  void Write(T value) {
    Append(std::as_bytes(std::span(&value, 1)));
  }

  void WriteCount(std::size_t count) {
    DCN_CHECK_LE(count, std::size_t{std::numeric_limits<std::uint32_t>::max()});
    Write(static_cast<std::uint32_t>(count));
  }

  void WriteText(std::string_view text) {
    WriteCount(text.size());
    Append(AsBytes(text));
  }

  template <ArrayElement T>
  void WriteArray(std::span<const T> values) {
    static constexpr std::array<std::byte, kArrayAlignment> kZeros = {};
    Append(std::span(kZeros).first((kArrayAlignment - size_ % kArrayAlignment) % kArrayAlignment));
    Append(std::as_bytes(values));
  }

 private:
  void Append(std::span<const std::byte> bytes) {
    if (bytes.empty()) return;
    if (bytes.size() > body_.size() - size_) body_.resize(size_ + bytes.size());
    std::memcpy(body_.data() + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
  }

  Body& body_;
  std::size_t size_ = 0;  // written
};

/// Reads a body from its start. The first thing that makes no sense ends it: later reads give
/// zeros and empty spans, and status() says what it was. Thread safety: none.
class MessageReader {
 public:
  /// message: its name, for errors. REQUIRES: body.data() is a multiple of 8.
  MessageReader(std::string_view message, std::span<const std::byte> body)
      : message_(message), bytes_(body) {
    DCN_CHECK_EQ(reinterpret_cast<std::uintptr_t>(body.data()) % kArrayAlignment, 0U);
  }

  [[nodiscard]] bool ok() const { return status_.ok(); }
  [[nodiscard]] const Status& status() const { return status_; }

  template <ByteScalar T>
  [[nodiscard]] T Read(std::string_view field) {
    const auto bytes = ReadBytes(field, sizeof(T));
    return bytes.empty() ? T{} : LoadLittleEndian<T>(bytes.data());
  }

  /// A count of at most `limit` things that take at least `bytes_each` bytes: those are there.
  [[nodiscard]] std::uint32_t ReadCount(std::string_view field, std::size_t limit,
                                        std::size_t bytes_each) {
    const auto count = Read<std::uint32_t>(field);
    if (count > limit) {
      Fail(field, "is {}, at most {} are allowed", count, limit);
    } else if (count > bytes_.remaining() / bytes_each) {
      Fail(field, "is {}, which {} bytes cannot hold", count, bytes_.remaining());
    }
    return ok() ? count : 0;
  }

  [[nodiscard]] std::string_view ReadText(std::string_view field, std::size_t limit) {
    return AsText(ReadBytes(field, ReadCount(field, limit, 1)));
  }

  /// The array at the next multiple of 8; points into the body.
  template <ArrayElement T>
  [[nodiscard]] std::span<const T> ReadArray(std::string_view field, std::uint64_t count) {
    SkipPadding(field);
    if (count > bytes_.remaining() / sizeof(T)) {
      Fail(field, "of {} elements, which {} bytes cannot hold", count, bytes_.remaining());
      return {};
    }
    const auto bytes = ReadBytes(field, static_cast<std::size_t>(count) * sizeof(T));
    return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
  }

  /// Fails with the name of `field` and a reason, unless something failed before.
  template <typename... Args>
  void Fail(std::string_view field, fmt::format_string<Args...> reason, Args&&... args) {
    if (!ok()) return;
    status_ = Error(StatusCode::kDataLoss, "{} message, byte {}: {} {}", message_,
                    bytes_.position(), field, fmt::format(reason, std::forward<Args>(args)...));
  }

  /// The status; bytes that nobody has read are an error.
  [[nodiscard]] Status Finish() {
    if (bytes_.remaining() != 0) Fail("the end", "is followed by {} bytes", bytes_.remaining());
    return status_;
  }

 private:
  [[nodiscard]] std::span<const std::byte> ReadBytes(std::string_view field, std::size_t count) {
    if (!ok()) return {};
    const auto bytes = bytes_.ReadBytes(count);
    if (!bytes) Fail(field, "is cut short: {} of {} bytes", bytes_.remaining(), count);
    return bytes.value_or(std::span<const std::byte>());
  }

  void SkipPadding(std::string_view field) {
    const std::size_t excess = bytes_.position() % kArrayAlignment;
    if (excess == 0) return;
    for (const std::byte value : ReadBytes(field, kArrayAlignment - excess)) {
      if (value != std::byte{0}) Fail(field, "follows padding that is not zero");
    }
  }

  std::string_view message_;
  ByteReader bytes_;
  Status status_;
};

}  // namespace dcn::ps
