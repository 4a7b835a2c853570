#include "ps/table/initializer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "tests/ps/float_bits.h"

namespace dcn::ps {
namespace {

using testing::Bits;

std::vector<float> FirstValues(std::uint64_t seed, std::string_view table, Key key,
                               std::size_t dimension, float limit = 0.05F) {
  std::vector<float> row(dimension, 99.0F);
  RowInitializer({.seed = seed, .limit = limit}, table).Fill(key, row);
  return row;
}

TEST(RowInitializerTest, ValuesFollowFromSeedTableKeyAndLane) {
  const auto row = FirstValues(1, "a", 2, 8);
  EXPECT_EQ(Bits(row), Bits(FirstValues(1, "a", 2, 8)));
  EXPECT_NE(Bits(row), Bits(FirstValues(2, "a", 2, 8)));
  EXPECT_NE(Bits(row), Bits(FirstValues(1, "b", 2, 8)));
  EXPECT_NE(Bits(row), Bits(FirstValues(1, "a", 3, 8)));
  EXPECT_NE(row[0], row[1]);
}

TEST(RowInitializerTest, LanesDoNotDependOnTheWidth) {
  const auto wide = FirstValues(7, "a", 5, 64);
  for (const std::size_t dimension : {1U, 2U, 3U, 4U, 5U, 7U, 31U, 33U}) {
    EXPECT_EQ(Bits(FirstValues(7, "a", 5, dimension)), Bits(std::span(wide).first(dimension)));
  }
}

TEST(RowInitializerTest, RowsShareNoValues) {
  // Neighbours, rows a power of two apart and rows at the end of the key space alike.
  const Key highest = std::numeric_limits<Key>::max();
  std::vector<Key> keys = {highest, highest - 1};
  for (Key key = 0; key < 200; ++key) keys.push_back(key);
  for (int bit = 8; bit < 64; ++bit) keys.push_back(Key{1} << bit);
  std::set<std::vector<std::uint32_t>> blocks;  // four lanes: 96 random bits
  for (const Key key : keys) {
    const auto row = FirstValues(1, "a", key, 32);
    for (std::size_t i = 0; i < 32; i += 4) blocks.insert(Bits(std::span(row).subspan(i, 4)));
  }
  EXPECT_EQ(blocks.size(), keys.size() * 8);
}

TEST(RowInitializerTest, ValuesAreUniformWithinTheLimit) {
  constexpr std::size_t kRows = 5000;
  constexpr double kLimit = 0.05;
  double sum = 0;
  double squares = 0;
  std::array<int, 10> histogram{};
  for (Key key = 0; key < kRows; ++key) {
    for (const float value : FirstValues(3, "embedding/user_id", key, 32)) {
      ASSERT_GE(value, -0.05F);
      ASSERT_LE(value, 0.05F);
      sum += static_cast<double>(value);
      squares += static_cast<double>(value) * static_cast<double>(value);
      const double place = (static_cast<double>(value) + kLimit) / (2 * kLimit) * 10;
      ++histogram[std::min<std::size_t>(9, static_cast<std::size_t>(place))];
    }
  }
  constexpr double kCount = kRows * 32;
  EXPECT_NEAR(sum / kCount, 0, 4 * kLimit / std::sqrt(3 * kCount));
  EXPECT_NEAR(squares / kCount / (kLimit * kLimit / 3), 1, 0.01);
  for (const int count : histogram) EXPECT_NEAR(count, kCount / 10, 5 * std::sqrt(kCount / 10));
}

TEST(RowInitializerTest, LimitZeroGivesZeros) {
  EXPECT_EQ(FirstValues(1, "a", 2, 3, 0.0F), std::vector<float>(3, 0.0F));
}

// A checkpointed job that touches a new row must see what it would have seen without the restart,
// and another release what this one sees.
TEST(RowInitializerTest, ValuesAreTheSameForEver) {
  const auto row = FirstValues(42, "embedding/movie_id", 1234, 3);
  EXPECT_EQ(Bits(row), (std::vector<std::uint32_t>{0x3d227950U, 0xbce2bd6dU, 0x3976c4cdU}));
}

}  // namespace
}  // namespace dcn::ps
