// Sixteen floats that are computed with at once, whatever the processor's registers hold: the
// compilers' vector extension (GCC and clang), which they lower to what there is.
//
// Every lane is rounded by itself as a float is, so results do not depend on the instruction set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace dcn {

inline constexpr std::size_t kLanes = 16;

using Lanes [[gnu::vector_size(kLanes * sizeof(float))]] = float;
/// A lane's bits, or what comparing lanes gives: all ones where it holds.
using LaneBits [[gnu::vector_size(kLanes * sizeof(std::int32_t))]] = std::int32_t;

/// How many lanes a load or store moves: all, or the first few (the others are read as zero).
struct AllLanes {
  // NOLINTNEXTLINE(readability-identifier-naming): as that of SomeLanes
  static constexpr std::size_t count = kLanes;
};
struct SomeLanes {
  std::size_t count;  // below kLanes
};

inline Lanes LoadLanes(const float* from, AllLanes /*all*/ = {}) {
  Lanes lanes;
  std::memcpy(&lanes, from, sizeof(lanes));
  return lanes;
}
inline Lanes LoadLanes(const float* from, SomeLanes some) {
  Lanes lanes = {};
  std::memcpy(&lanes, from, some.count * sizeof(float));
  return lanes;
}

inline void StoreLanes(Lanes lanes, float* to, AllLanes /*all*/ = {}) {
  std::memcpy(to, &lanes, sizeof(lanes));
}
inline void StoreLanes(Lanes lanes, float* to, SomeLanes some) {
  std::memcpy(to, &lanes, some.count * sizeof(float));
}

/// `value` in every lane.
inline Lanes EveryLane(float value) { return value - Lanes{}; }

/// The lanes of `lanes` where the mask holds, +0 in the others.
inline Lanes Keep(LaneBits mask, Lanes lanes) {
  return reinterpret_cast<Lanes>(mask & reinterpret_cast<LaneBits>(lanes));
}

/// Calls body(first, AllLanes) for each sixteen of [0, count), and body(first, SomeLanes) for what
/// is left.
template <typename Body>
inline void ForLanes(std::size_t count, Body body) {
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) body(i, AllLanes{});
  if (i < count) body(i, SomeLanes{count - i});
}

/// to += from, `count` floats of each.
inline void AddFloats(std::size_t count, const float* from, float* to) {
  ForLanes(count, [&](std::size_t i, auto lanes) {
    StoreLanes(LoadLanes(to + i, lanes) + LoadLanes(from + i, lanes), to + i, lanes);
  });
}

}  // namespace dcn
