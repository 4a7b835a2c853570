#include "common/digest.h"

#include <memory>

#include <fmt/core.h>

// The library's code is compiled in here, for the processor that all is compiled for: the shared
// library's, for any processor, is several times as slow, and every message goes through it twice.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "common/bytes.h"

namespace dcn {
namespace {

std::string ToHex(XXH128_hash_t hash) {
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

}  // namespace

struct Digest128::State {
  XXH3_state_t xxh3;
};

Digest128::Digest128() : state_(std::make_unique<State>()) { XXH3_128bits_reset(&state_->xxh3); }
Digest128::~Digest128() = default;
Digest128::Digest128(Digest128&&) noexcept = default;
Digest128& Digest128::operator=(Digest128&&) noexcept = default;

void Digest128::Update(std::span<const std::byte> bytes) {
  if (!bytes.empty()) XXH3_128bits_update(&state_->xxh3, bytes.data(), bytes.size());
}

void Digest128::Update(std::string_view bytes) { Update(AsBytes(bytes)); }

std::string Digest128::Hex() const { return ToHex(XXH3_128bits_digest(&state_->xxh3)); }

std::string Digest128Hex(std::span<const std::byte> bytes) {
  return ToHex(XXH3_128bits(bytes.data(), bytes.size()));
}

std::string Digest128Hex(std::string_view bytes) { return Digest128Hex(AsBytes(bytes)); }

std::uint64_t Checksum64(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::uint64_t Checksum64(std::string_view bytes) { return Checksum64(AsBytes(bytes)); }

}  // namespace dcn
