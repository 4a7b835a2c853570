// Compares floats by their bits: +0 is not -0, and a NaN is itself.
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <vector>

namespace dcn::ps::testing {

/// The bits of each float, for EXPECT_EQ.
inline std::vector<std::uint32_t> Bits(std::span<const float> values) {
  std::vector<std::uint32_t> bits;
  for (const float value : values) bits.push_back(std::bit_cast<std::uint32_t>(value));
  return bits;
}

}  // namespace dcn::ps::testing
