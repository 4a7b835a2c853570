#include "common/digest.h"

#include <new>

#include <fmt/core.h>
#include <xxhash.h>

#include "common/bytes.h"

namespace dcn {
namespace {

std::string ToHex(XXH128_hash_t hash) {
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

}  // namespace

void Digest128::Free::operator()(XXH3_state_s* state) const { XXH3_freeState(state); }

Digest128::Digest128() : state_(XXH3_createState()) {
  if (!state_) throw std::bad_alloc();
  XXH3_128bits_reset(state_.get());
}

void Digest128::Update(std::span<const std::byte> bytes) {
  if (!bytes.empty()) XXH3_128bits_update(state_.get(), bytes.data(), bytes.size());
}

void Digest128::Update(std::string_view bytes) { Update(AsBytes(bytes)); }

std::string Digest128::Hex() const { return ToHex(XXH3_128bits_digest(state_.get())); }

std::string Digest128Hex(std::span<const std::byte> bytes) {
  return ToHex(XXH3_128bits(bytes.data(), bytes.size()));
}

std::string Digest128Hex(std::string_view bytes) { return Digest128Hex(AsBytes(bytes)); }

std::uint64_t Checksum64(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::uint64_t Checksum64(std::string_view bytes) { return Checksum64(AsBytes(bytes)); }

}  // namespace dcn
