// Rounding to bfloat16, over all of its values.

#include "worker/model/bfloat16.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "common/lanes.h"
#include "worker/model/elementwise.h"

namespace dcn::model {
namespace {

constexpr std::uint32_t kValues = 1U << 16U;

Bfloat16 FromBits(std::uint32_t bits) { return {static_cast<std::uint16_t>(bits)}; }

TEST(Bfloat16, EveryValueIsItsOwnRounding) {
  for (std::uint32_t bits = 0; bits < kValues; ++bits) {
    const float value = ToFloat(FromBits(bits));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(ToFloat(ToBfloat16(value)))) << bits;
    } else if (std::fpclassify(value) == FP_SUBNORMAL) {
      EXPECT_EQ(ToBfloat16(value).bits, bits & 0x8000U);  // a zero
    } else {
      EXPECT_EQ(ToBfloat16(value).bits, bits);
    }
  }
}

// A tie goes to the neighbour whose last bit is zero; the next floats beside it go to the nearer
// one.
TEST(Bfloat16, RoundsToTheNearestAndTiesToEven) {
  for (std::uint32_t bits = 0x0080U; bits < 0x7F80U; ++bits) {  // the normal ones
    const std::uint32_t tie = (bits << 16U) | 0x8000U;
    EXPECT_EQ(ToBfloat16(std::bit_cast<float>(tie)).bits, bits + (bits & 1U));
    EXPECT_EQ(ToBfloat16(std::bit_cast<float>(tie - 1)).bits, bits);
    EXPECT_EQ(ToBfloat16(std::bit_cast<float>(tie + 1)).bits, bits + 1);
    EXPECT_EQ(ToBfloat16(std::bit_cast<float>((tie + 1) | 0x8000'0000U)).bits,
              (bits + 1) | 0x8000U);
  }
}

TEST(Bfloat16, KeepsInfinityAndAnyNan) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(ToFloat(ToBfloat16(kInfinity)), kInfinity);
  EXPECT_EQ(ToFloat(ToBfloat16(-kInfinity)), -kInfinity);
  EXPECT_EQ(ToFloat(ToBfloat16(std::numeric_limits<float>::max())), kInfinity);
  for (const std::uint32_t bits : {0x7F80'0001U, 0x7FFF'FFFFU, 0xFF80'0001U, 0xFFFF'FFFFU}) {
    EXPECT_TRUE(std::isnan(ToFloat(ToBfloat16(std::bit_cast<float>(bits))))) << bits;
  }
}

// The processor's instruction, where there is one, rounds as the formula does: every float with one
// of these endings, which lie around all ties.
TEST(Bfloat16, RoundsSixteenAsSingleValues) {
  for (const std::uint32_t ending : {0x0000U, 0x0001U, 0x7FFFU, 0x8000U, 0x8001U, 0xFFFFU}) {
    for (std::uint32_t upper = 0; upper < kValues; upper += kLanes) {
      std::array<float, kLanes> from;
      std::array<Bfloat16, kLanes> to;
      for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
        from[lane] = std::bit_cast<float>((upper + lane) << 16U | ending);
      }
      StoreLanes(LoadLanes(from.data()), to.data());
      for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
        ASSERT_EQ(to[lane].bits, ToBfloat16(from[lane]).bits) << upper + lane << " " << ending;
      }
    }
  }
}

TEST(Bfloat16, ReadsSixteenAsSingleValues) {
  for (std::uint32_t first = 0; first < kValues; first += kLanes) {
    std::array<Bfloat16, kLanes> from;
    std::array<float, kLanes> to;
    for (std::uint32_t lane = 0; lane < kLanes; ++lane) from[lane] = FromBits(first + lane);
    for (std::size_t count = 0; count <= kLanes; ++count) {
      const Lanes lanes =
          count == kLanes ? LoadLanes(from.data()) : LoadLanes(from.data(), SomeLanes{count});
      StoreLanes(lanes, to.data());
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        const float expected = lane < count ? ToFloat(from[lane]) : 0.0F;
        ASSERT_EQ(std::bit_cast<std::uint32_t>(to[lane]), std::bit_cast<std::uint32_t>(expected));
      }
    }
  }
}

TEST(Bfloat16, RoundsArraysOfAnyLengthAsSingleValues) {
  for (std::size_t count = 0; count < 70; ++count) {
    std::vector<float> from;
    for (std::size_t i = 0; i < count; ++i) from.push_back(1.0F / static_cast<float>(i + 3));
    std::vector<Bfloat16> to(count + 1, Bfloat16{0x1234});
    Round(count, from.data(), to.data());
    for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(to[i].bits, ToBfloat16(from[i]).bits);
    EXPECT_EQ(to[count].bits, 0x1234);
  }
}

}  // namespace
}  // namespace dcn::model
