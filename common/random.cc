#include "common/random.h"

#include <cmath>
#include <numbers>
#include <utility>

#include <Random123/philox.h>
#include <xxhash.h>

#include "common/check.h"

namespace dcn {

std::array<std::uint32_t, 4> RandomStream::Block(std::uint64_t block) const {
  using Philox = r123::Philox4x32;
  const Philox::ctr_type counter = {
      {static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32),
       static_cast<std::uint32_t>(stream_), static_cast<std::uint32_t>(stream_ >> 32)}};
  const Philox::key_type key = {
      {static_cast<std::uint32_t>(seed_), static_cast<std::uint32_t>(seed_ >> 32)}};
  const Philox::ctr_type words = Philox{}(counter, key);
  return {words[0], words[1], words[2], words[3]};
}

std::uint32_t RandomStream::Word(std::uint64_t index) const { return Block(index / 4)[index % 4]; }

std::uint64_t RandomStream::Word64(std::uint64_t index) const {
  const auto words = Block(index / 2);
  const std::size_t low = 2 * (index % 2);
  return words[low] | (static_cast<std::uint64_t>(words[low + 1]) << 32);
}

double RandomStream::Uniform(std::uint64_t index) const {
  return static_cast<double>(Word64(index) >> 11) * 0x1p-53;
}

double RandomStream::Normal(std::uint64_t index) const {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - Uniform(2 * index)));
  return radius * std::cos(2.0 * std::numbers::pi * Uniform(2 * index + 1));
}

void RandomStream::FillUniform(float limit, std::uint64_t first, std::span<float> out) const {
  DCN_CHECK_EQ(first % 4, 0U);
  for (std::size_t i = 0; i < out.size(); i += 4) {
    const auto words = Block((first + i) / 4);
    for (std::size_t k = 0; k < 4 && i + k < out.size(); ++k) {
      // 24 bits, so that the float in [0, 1) is exact; then one rounding in the product.
      const float unit = static_cast<float>(words[k] >> 8) * 0x1p-24F;
      out[i + k] = limit * (2.0F * unit - 1.0F);
    }
  }
}

std::uint64_t StreamId(std::string_view name) { return XXH3_64bits(name.data(), name.size()); }

void Shuffle(const RandomStream& random, std::span<std::uint32_t> values) {
  std::uint64_t block = 0;  // that `words` is
  std::array<std::uint32_t, 4> words = random.Block(0);
  for (std::size_t i = values.size(); i-- > 1;) {
    if (i / 2 != block) {  // one block holds Word64(i) of two neighbours
      block = i / 2;
      words = random.Block(block);
    }
    const std::size_t low = 2 * (i % 2);
    const std::uint64_t word = words[low] | (static_cast<std::uint64_t>(words[low + 1]) << 32);
    std::swap(values[i], values[BoundedWord(word, i + 1)]);
  }
}

}  // namespace dcn
