#include "common/lanes.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

namespace dcn {
namespace {

TEST(Lanes, LoadsAndStoresMoveTheFirstFewOnly) {
  std::vector<float> from(kLanes);
  std::iota(from.begin(), from.end(), 1.0F);
  for (std::size_t count = 0; count < kLanes; ++count) {
    const Lanes lanes = LoadLanes(from.data(), SomeLanes{count});
    std::vector<float> all(kLanes, -1.0F);
    StoreLanes(lanes, all.data());
    std::vector<float> some(kLanes, -1.0F);
    StoreLanes(LoadLanes(from.data()), some.data(), SomeLanes{count});
    for (std::size_t i = 0; i < kLanes; ++i) {
      EXPECT_EQ(all[i], i < count ? from[i] : 0.0F) << count;
      EXPECT_EQ(some[i], i < count ? from[i] : -1.0F) << count;
    }
  }
}

// Each place once and in order, sixteen at a time while there are as many.
TEST(Lanes, ForLanesCoversAnyLength) {
  for (std::size_t count = 0; count < 70; ++count) {
    std::size_t next = 0;
    ForLanes(count, [&](std::size_t i, auto lanes) {
      EXPECT_EQ(i, next);
      EXPECT_EQ(lanes.count, std::min(kLanes, count - i));
      next += lanes.count;
    });
    EXPECT_EQ(next, count);
  }
}

TEST(Lanes, KeepGivesPlusZeroWhereTheMaskDoesNotHold) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  std::array<float, kLanes> values = {1, -1, 0, -0.0F, kNan, 2};
  const Lanes lanes = LoadLanes(values.data());
  std::array<float, kLanes> kept;
  StoreLanes(Keep(lanes > 0.0F, lanes), kept.data());
  const std::array<float, kLanes> expected = {1, 0, 0, 0, 0, 2};
  for (std::size_t i = 0; i < kLanes; ++i) {
    EXPECT_EQ(std::bit_cast<std::uint32_t>(kept[i]), std::bit_cast<std::uint32_t>(expected[i]))
        << i;
  }
}

TEST(Lanes, EveryLaneHasTheValuesBits) {
  for (const float value : {1.5F, 0.0F, -0.0F, std::numeric_limits<float>::infinity()}) {
    std::array<float, kLanes> lanes;
    StoreLanes(EveryLane(value), lanes.data());
    for (const float lane : lanes) {
      EXPECT_EQ(std::bit_cast<std::uint32_t>(lane), std::bit_cast<std::uint32_t>(value));
    }
  }
}

}  // namespace
}  // namespace dcn
