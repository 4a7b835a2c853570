#include "ps/server/row_sum.h"

#include <cstddef>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include "common/check.h"
#include "common/random.h"
#include "tests/ps/float_bits.h"
#include "tests/ps/slow_table.h"

namespace dcn::ps {
namespace {

using testing::Bits;

// Values of very different sizes, so that another order of additions has other bits.
std::vector<float> Values(std::uint64_t stream, std::size_t dimension) {
  std::vector<float> values(dimension);
  RandomStream(1, stream).FillUniform(stream % 3 == 0 ? 1000.0F : 1.0F, 0, values);
  return values;
}

TEST(RowSumTest, FollowsTheTreeOverAnyLeavesThatExist) {
  const RandomStream random(2, 2);
  for (const std::size_t dimension : {1U, 7U, 32U}) {
    RowSum sum(dimension);
    for (std::uint64_t trial = 0; trial < 300; ++trial) {
      testing::TreeParts parts;
      for (std::uint32_t leaf = 0; leaf < 33; ++leaf) {
        const bool exists = random.Uniform(trial * 100 + leaf) < 0.1 + 0.3 * double(trial % 4);
        if (exists) parts[{0, leaf}] = Values(trial * 100 + leaf, dimension);
      }
      if (parts.empty()) continue;
      std::vector<float> out(parts.size() * dimension, 99.0F);
      sum.Begin(out.data());
      for (const auto& [node, values] : parts) sum.Add({node.first, node.second}, values.data());
      sum.Finish();
      const auto expected = testing::SlowTreeValue(parts, 6, 0);
      EXPECT_EQ(Bits(std::span(out).first(dimension)), Bits(*expected));
    }
  }
}

TEST(RowSumTest, ASingleValueIsCopied) {
  RowSum sum(2);
  const std::vector<float> value = {-0.0F, 3.0F};
  std::vector<float> out(2);
  sum.Begin(out.data());
  sum.Add({4, 1}, value.data());
  sum.Finish();
  EXPECT_EQ(Bits(out), Bits(value));
}

TEST(RowSumTest, TheOrderOfAdditionsShows) {
  // (1e8 + 1) + (-1e8 + 1) rounds to 0 in pairs, and to 1 from left to right.
  RowSum sum(1);
  const float leaves[] = {1e8F, 1.0F, -1e8F, 1.0F};
  float out[4];
  sum.Begin(out);
  for (std::uint32_t i = 0; i < 4; ++i) sum.Add({0, i}, &leaves[i]);
  sum.Finish();
  EXPECT_EQ(out[0], 0.0F);
  sum.Begin(out);
  for (std::uint32_t i = 0; i < 3; ++i) sum.Add({0, i}, &leaves[i]);
  sum.Add({0, 4}, &leaves[3]);  // alone on the right of the root
  sum.Finish();
  EXPECT_EQ(out[0], 1.0F);
}

TEST(RowSumTest, NodesOutOfOrderAreABug) {
  RowSum sum(1);
  const float value = 1;
  float out[2];
  sum.Begin(out);
  sum.Add({1, 1}, &value);
  EXPECT_THROW(sum.Add({0, 1}, &value), CheckError);
}

}  // namespace
}  // namespace dcn::ps
