// bfloat16, the upper half of a float: what products of low precision read and write.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include "common/lanes.h"

namespace dcn::model {

/// A float's sign, exponent and first seven bits of the mantissa; normal values are within 1/256 of
/// what they were rounded from.
struct Bfloat16 {
  std::uint16_t bits;
};

/// The nearest one, ties to even, as the processors' instruction (vcvtneps2bf16) rounds. NaN stays
/// NaN; what is beyond the largest becomes infinite, a denormal zero.
inline Bfloat16 ToBfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t magnitude = bits & 0x7FFF'FFFFU;
  std::uint32_t rounded = bits + 0x7FFFU + ((bits >> 16U) & 1U);
  if (magnitude < 0x0080'0000U) rounded = bits & 0x8000'0000U;
  if (magnitude > 0x7F80'0000U) rounded = bits | 0x0040'0000U;
  return {static_cast<std::uint16_t>(rounded >> 16U)};
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

using dcn::LoadLanes;  // of floats
using dcn::StoreLanes;

/// Sixteen, or the first few of them (common/lanes.h).
template <typename Count = AllLanes>
inline Lanes LoadLanes(const Bfloat16* from, Count lanes = {}) {
#if defined(__AVX512F__)
  __m256i halves = {};
  std::memcpy(&halves, from, lanes.count * sizeof(Bfloat16));
  // The masked form: the other one makes GCC 12 warn of a value that is not set.
  const __m512i words = _mm512_maskz_cvtepu16_epi32(0xFFFF, halves);
  return reinterpret_cast<Lanes>(reinterpret_cast<LaneBits>(words) << 16);
#else
  Lanes values = {};
  for (std::size_t i = 0; i < lanes.count; ++i) values[i] = ToFloat(from[i]);
  return values;
#endif
}

/// Rounds as ToBfloat16.
template <typename Count = AllLanes>
inline void StoreLanes(Lanes from, Bfloat16* to, Count lanes = {}) {
#if defined(__AVX512BF16__)
  const __m256bh halves = _mm512_cvtneps_pbh(reinterpret_cast<__m512>(from));
  std::memcpy(to, &halves, lanes.count * sizeof(Bfloat16));
#else
  for (std::size_t i = 0; i < lanes.count; ++i) to[i] = ToBfloat16(from[i]);
#endif
}

}  // namespace dcn::model
