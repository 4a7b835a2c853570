// Little-endian values in byte buffers, and a reader that cannot leave its buffer.
//
// Everything that decodes foreign bytes (files, messages) goes through ByteReader: a read past the
// end gives nothing and takes nothing, and every length that the bytes claim is checked against a
// limit of the caller before it is used.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace dcn {

static_assert(std::endian::native == std::endian::little,
              "files and messages hold native little-endian arrays");

/// Integers, enumerations and floats; no bool, of whose bytes only 0 and 1 are values.
template <typename T>
concept ByteScalar = (std::is_arithmetic_v<T> ||
                      std::is_enum_v<T>)&&!std::is_same_v<std::remove_cv_t<T>, bool>;

/// The value at `from`, which needs no alignment. REQUIRES: sizeof(T) readable bytes.
template <ByteScalar T>
[[nodiscard]] T LoadLittleEndian(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

/// Writes `value` to `to`. REQUIRES: sizeof(T) writable bytes.
template <ByteScalar T>
void StoreLittleEndian(T value, std::byte* to) {
  std::memcpy(to, &value, sizeof(T));
}

/// Appends the bytes of `value`.
template <ByteScalar T>
void AppendLittleEndian(T value, std::string& out) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

/// Appends a 32-bit length and the text: what ByteReader::ReadString reads.
/// REQUIRES: text.size() < 2^32.
inline void AppendString(std::string_view text, std::string& out) {
  AppendLittleEndian(static_cast<std::uint32_t>(text.size()), out);
  out.append(text);
}

/// The bytes of a text, and of an array of scalars.
[[nodiscard]] inline std::span<const std::byte> AsBytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}
template <ByteScalar T>
[[nodiscard]] std::string_view AsText(std::span<const T> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

/// Reads values one after another. Every read either gives all of what was asked and moves on, or
/// gives nothing and stays. Views point into the buffer. Thread safety: none.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  /// Bytes read so far; for error messages.
  [[nodiscard]] std::size_t position() const { return position_; }
  [[nodiscard]] std::size_t remaining() const { return bytes_.size() - position_; }

  template <ByteScalar T>
  [[nodiscard]] std::optional<T> Read() {
    const auto bytes = ReadBytes(sizeof(T));
    if (!bytes) return std::nullopt;
    return LoadLittleEndian<T>(bytes->data());
  }

  /// Fills `out` with out.size() values; false: fewer are left, `out` is untouched.
  template <ByteScalar T>
  [[nodiscard]] bool ReadArray(std::span<T> out) {
    const auto bytes = ReadBytes(out.size_bytes());
    if (!bytes) return false;
    if (!out.empty()) std::memcpy(out.data(), bytes->data(), bytes->size());
    return true;
  }

  [[nodiscard]] std::optional<std::span<const std::byte>> ReadBytes(std::size_t count) {
    if (count > remaining()) return std::nullopt;
    const auto view = bytes_.subspan(position_, count);
    position_ += count;
    return view;
  }

  /// A 32-bit length of at most `limit` and that many bytes. Nothing: longer, or cut short.
  [[nodiscard]] std::optional<std::string_view> ReadString(std::size_t limit) {
    const std::size_t start = position_;
    const auto length = Read<std::uint32_t>();
    if (length && *length <= limit) {
      if (const auto bytes = ReadBytes(*length)) {
        return std::string_view(reinterpret_cast<const char*>(bytes->data()), bytes->size());
      }
    }
    position_ = start;
    return std::nullopt;
  }

 private:
  std::span<const std::byte> bytes_;
  std::size_t position_ = 0;
};

}  // namespace dcn
