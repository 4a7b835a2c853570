// bfloat16, the upper half of a float: what products of low precision read.
#pragma once

#include <bit>
#include <cstdint>

namespace dcn::model {

/// A float's sign, exponent and first seven bits of the mantissa; values are within 1/256 of what
/// they were rounded from.
struct Bfloat16 {
  std::uint16_t bits;
};

/// The nearest one, ties to even, as processors' own instructions round. NaN stays NaN; what is
/// beyond the largest becomes infinite.
inline Bfloat16 ToBfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = bits + 0x7FFFU + ((bits >> 16U) & 1U);
  const std::uint32_t quiet_nan = bits | 0x0040'0000U;
  const bool is_nan = (bits & 0x7FFF'FFFFU) > 0x7F80'0000U;
  return {static_cast<std::uint16_t>((is_nan ? quiet_nan : rounded) >> 16U)};
}

/// Exact.
inline float ToFloat(Bfloat16 value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16U);
}
inline float ToFloat(float value) { return value; }

/// `value` as an Element, float or Bfloat16.
template <typename Element>
Element FromFloat(float value);
template <>
inline float FromFloat<float>(float value) {
  return value;
}
template <>
inline Bfloat16 FromFloat<Bfloat16>(float value) {
  return ToBfloat16(value);
}

}  // namespace dcn::model
