// XXH3 hashes: against accidents (corruption, another file, another model), not against attackers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace dcn {

/// XXH3-128 of bytes that arrive in pieces; where they are cut does not matter.
/// Move-only. Thread safety: none.
class Digest128 {
 public:
  Digest128();
  ~Digest128();
  Digest128(Digest128&&) noexcept;
  Digest128& operator=(Digest128&&) noexcept;

  void Update(std::span<const std::byte> bytes);
  void Update(std::string_view bytes);

  /// The digest of all bytes so far as 32 hex digits, as `xxhsum -H2` prints it. More may follow.
  [[nodiscard]] std::string Hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// XXH3-128 of one piece, as Digest128::Hex.
[[nodiscard]] std::string Digest128Hex(std::span<const std::byte> bytes);
[[nodiscard]] std::string Digest128Hex(std::string_view bytes);

/// XXH3-64: the checksum of frames and blocks.
[[nodiscard]] std::uint64_t Checksum64(std::span<const std::byte> bytes);
[[nodiscard]] std::uint64_t Checksum64(std::string_view bytes);

}  // namespace dcn
