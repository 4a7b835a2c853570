// XXH3 hashes: against accidents (corruption, another file, another model), not against attackers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

struct XXH3_state_s;  // of xxhash.h, which stays in digest.cc

namespace dcn {

/// XXH3-128 of bytes that arrive in pieces; where they are cut does not matter.
/// Move-only. Thread safety: none.
class Digest128 {
 public:
  Digest128();

  void Update(std::span<const std::byte> bytes);
  void Update(std::string_view bytes);

  /// The digest of all bytes so far as 32 hex digits, as `xxhsum -H2` prints it. More may follow.
  [[nodiscard]] std::string Hex() const;

 private:
  struct Free {
    void operator()(XXH3_state_s* state) const;
  };
  std::unique_ptr<XXH3_state_s, Free> state_;
};

/// XXH3-128 of one piece, as Digest128::Hex.
[[nodiscard]] std::string Digest128Hex(std::span<const std::byte> bytes);
[[nodiscard]] std::string Digest128Hex(std::string_view bytes);

/// XXH3-64: the checksum of frames and blocks.
[[nodiscard]] std::uint64_t Checksum64(std::span<const std::byte> bytes);
[[nodiscard]] std::uint64_t Checksum64(std::string_view bytes);

}  // namespace dcn
