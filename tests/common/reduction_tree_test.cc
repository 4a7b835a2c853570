#include "common/reduction_tree.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "common/random.h"

namespace dcn {
namespace {

constexpr std::uint32_t kMaxLeaves = 33;
constexpr std::uint32_t kMaxRanks = 9;

/// The definition, written out: node (l, i) is the sum of its two children, or the only one that
/// exists, or absent.
std::optional<float> DefinedValue(TreeNode node, const std::vector<float>& leaves) {
  if (node.begin() >= leaves.size()) return std::nullopt;
  if (node.level == 0) return leaves[node.index];
  const auto left = DefinedValue({node.level - 1, 2 * node.index}, leaves);
  const auto right = DefinedValue({node.level - 1, 2 * node.index + 1}, leaves);
  if (!right) return left;
  return *left + *right;
}

std::optional<float> DefinedRoot(const std::vector<float>& leaves) {
  std::uint32_t level = 0;
  while ((1U << level) < leaves.size()) ++level;
  return DefinedValue({level, 0}, leaves);
}

/// Values of very different sizes and both signs: another order of additions, another sum.
std::vector<float> Leaves(std::size_t count) {
  const RandomStream random(1, 2);
  std::vector<float> leaves(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto exponent = static_cast<int>(random.Word(2 * i) % 12);
    leaves[i] = std::ldexp(static_cast<float>(random.Uniform(count + i) - 0.5), exponent);
  }
  return leaves;
}

/// What all ranks emit for a batch of leaves.size() leaves out of full_leaves, in rank order.
struct Emitted {
  std::vector<TreeNode> nodes;
  std::vector<float> values;
};

Emitted EmitAll(std::uint32_t ranks, std::uint32_t full_leaves, const std::vector<float>& leaves) {
  Emitted emitted;
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    for (const TreeNode node : RankNodes(rank, ranks, full_leaves)) {
      const auto value = DefinedValue(node, leaves);
      if (!value) continue;  // no leaf of it is in this short batch
      emitted.nodes.push_back(node);
      emitted.values.push_back(*value);
    }
  }
  return emitted;
}

float SumInOrder(const Emitted& emitted) {
  const auto add = [](float& left, float&& right) { left += right; };
  OrderedSum<float, decltype(add)> sum(add);
  for (std::size_t i = 0; i < emitted.nodes.size(); ++i) {
    sum.Push(emitted.nodes[i], emitted.values[i]);
  }
  return sum.Take();
}

float SumBySchedule(Emitted emitted) {
  for (const SumStep step : SumSchedule(emitted.nodes)) {
    emitted.values[step.into] += emitted.values[step.from];
  }
  return emitted.values[0];
}

std::uint32_t Bits(float value) { return std::bit_cast<std::uint32_t>(value); }

TEST(ReductionTreeTest, AnyRanksGiveTheDefinedSumBitForBit) {
  for (std::uint32_t full = 1; full <= kMaxLeaves; ++full) {
    for (std::uint32_t existing = 1; existing <= full; ++existing) {
      const std::vector<float> leaves = Leaves(existing);
      const std::uint32_t expected = Bits(*DefinedRoot(leaves));
      for (std::uint32_t ranks = 1; ranks <= kMaxRanks; ++ranks) {
        const Emitted emitted = EmitAll(ranks, full, leaves);
        ASSERT_EQ(Bits(SumInOrder(emitted)), expected) << full << ' ' << existing << ' ' << ranks;
        ASSERT_EQ(Bits(SumBySchedule(emitted)), expected)
            << full << ' ' << existing << ' ' << ranks;
      }
    }
  }
}

// Or the test above could not tell one order from another.
TEST(ReductionTreeTest, TheTestsValuesTellOrdersApart) {
  std::uint32_t different = 0;
  for (std::uint32_t count = 3; count <= kMaxLeaves; ++count) {
    const std::vector<float> leaves = Leaves(count);
    const float in_line = std::accumulate(leaves.begin(), leaves.end(), 0.0F);
    if (Bits(in_line) != Bits(*DefinedRoot(leaves))) ++different;
  }
  EXPECT_GT(different, kMaxLeaves / 2);
}

TEST(ReductionTreeTest, EveryLeafBelongsToOneNodeOfOneRank) {
  for (std::uint32_t full = 0; full <= kMaxLeaves; ++full) {
    for (std::uint32_t ranks = 1; ranks <= kMaxRanks; ++ranks) {
      std::uint32_t next = 0;
      for (std::uint32_t rank = 0; rank < ranks; ++rank) {
        const LeafRange range = RankLeaves(rank, ranks, full);
        EXPECT_EQ(range.begin, rank == 0 ? 0 : RankLeaves(rank - 1, ranks, full).end);
        const auto nodes = RankNodes(rank, ranks, full);
        EXPECT_EQ(nodes.empty(), range.size() == 0);
        for (const TreeNode node : nodes) {
          ASSERT_EQ(node.begin(), next) << full << ' ' << ranks << ' ' << rank;
          next = node.end();
        }
      }
      EXPECT_EQ(RankLeaves(ranks - 1, ranks, full).end, full);
      EXPECT_EQ(next, full == 0 ? 0 : std::bit_ceil(full));
    }
  }
}

TEST(ReductionTreeTest, ASingleRankEmitsTheRootAlone) {
  for (std::uint32_t full = 1; full <= kMaxLeaves; ++full) {
    const auto nodes = RankNodes(0, 1, full);
    ASSERT_EQ(nodes.size(), 1U) << full;
    EXPECT_EQ(nodes[0].begin(), 0U);
    EXPECT_GE(nodes[0].end(), full);
  }
}

TEST(ReductionTreeTest, ThreeRanksOfSixteenLeavesEmitTwoThreeAndTwoNodes) {
  EXPECT_EQ(RankNodes(0, 3, 16), (std::vector<TreeNode>{{2, 0}, {0, 4}}));
  EXPECT_EQ(RankNodes(1, 3, 16), (std::vector<TreeNode>{{0, 5}, {1, 3}, {1, 4}}));
  EXPECT_EQ(RankNodes(2, 3, 16), (std::vector<TreeNode>{{1, 5}, {2, 3}}));
}

TEST(ReductionTreeTest, ShortBatchesLeaveOutNodesWithoutALeaf) {
  EXPECT_EQ(RankNodes(1, 3, 16, 16), RankNodes(1, 3, 16));
  EXPECT_EQ(RankNodes(1, 3, 16, 7), (std::vector<TreeNode>{{0, 5}, {1, 3}}));
  EXPECT_EQ(RankNodes(1, 3, 16, 6), (std::vector<TreeNode>{{0, 5}}));
  EXPECT_TRUE(RankNodes(1, 3, 16, 5).empty());
  EXPECT_EQ(RankNodes(0, 1, 16, 1), (std::vector<TreeNode>{{4, 0}}));
}

TEST(ReductionTreeTest, RanksWithoutLeavesEmitNothing) {
  EXPECT_EQ(RankLeaves(0, 4, 2).size(), 0U);
  EXPECT_TRUE(RankNodes(0, 4, 2).empty());
  EXPECT_EQ(RankNodes(1, 4, 2), (std::vector<TreeNode>{{0, 0}}));
  EXPECT_TRUE(RankNodes(3, 4, 0).empty());
  EXPECT_TRUE(MaximalNodes({7, 7}).empty());
}

TEST(ReductionTreeTest, MaximalNodesAreAlignedAndFew) {
  EXPECT_EQ(MaximalNodes({0, 16}), (std::vector<TreeNode>{{4, 0}}));
  EXPECT_EQ(MaximalNodes({5, 10}), (std::vector<TreeNode>{{0, 5}, {1, 3}, {1, 4}}));
  for (std::uint32_t begin = 0; begin < 40; ++begin) {
    for (std::uint32_t end = begin; end <= 40; ++end) {
      std::uint32_t next = begin;
      std::optional<TreeNode> before;
      for (const TreeNode node : MaximalNodes({begin, end})) {
        ASSERT_EQ(node.begin(), next);
        next = node.end();
        // Two neighbours that are the halves of one node would not be maximal.
        if (before && before->level == node.level) {
          ASSERT_NE(before->index ^ 1U, node.index);
        }
        before = node;
      }
      ASSERT_EQ(next, end);
    }
  }
}

TEST(ReductionTreeTest, LeavesAreCountedUpwards) {
  EXPECT_EQ(LeafCount(0, 512), 0U);
  EXPECT_EQ(LeafCount(1, 512), 1U);
  EXPECT_EQ(LeafCount(512, 512), 1U);
  EXPECT_EQ(LeafCount(513, 512), 2U);
  EXPECT_EQ(LeafCount(8192, 512), 16U);
}

TEST(ReductionTreeTest, NodesMeetAtTheirLowestCommonAncestor) {
  for (std::uint32_t a = 0; a < 16; ++a) {
    for (std::uint32_t b = a + 1; b < 16; ++b) {
      const std::uint32_t level = MeetingLevel({0, a}, {0, b});
      EXPECT_EQ(AncestorAt({0, a}, level), AncestorAt({0, b}, level));
      EXPECT_NE(AncestorAt({0, a}, level - 1), AncestorAt({0, b}, level - 1));
    }
  }
}

TEST(OrderedSumTest, SumsAgainAfterTake) {
  const auto add = [](float& left, float&& right) { left += right; };
  OrderedSum<float, decltype(add)> sum(add);
  EXPECT_TRUE(sum.empty());
  sum.Push({0, 0}, 1.0F);
  sum.Push({0, 1}, 2.0F);
  EXPECT_FALSE(sum.empty());
  EXPECT_EQ(sum.Take(), 3.0F);
  EXPECT_TRUE(sum.empty());
  sum.Push({0, 0}, 5.0F);
  EXPECT_EQ(sum.Take(), 5.0F);
}

TEST(OrderedSumTest, RefusesWhatIsNotInLeafOrder) {
  const auto add = [](float& left, float&& right) { left += right; };
  OrderedSum<float, decltype(add)> sum(add);
  EXPECT_THROW(sum.Take(), CheckError);
  sum.Push({1, 1}, 1.0F);  // leaves 2 and 3
  EXPECT_THROW(sum.Push({0, 3}, 1.0F), CheckError);
  EXPECT_THROW(sum.Push({0, 0}, 1.0F), CheckError);
}

TEST(SumScheduleTest, NeedsOneAdditionLessThanNodes) {
  EXPECT_TRUE(SumSchedule({}).empty());
  EXPECT_TRUE(SumSchedule({{2, 0}}).empty());
  EXPECT_EQ(SumSchedule({{0, 0}, {0, 1}, {1, 1}}), (std::vector<SumStep>{{0, 1}, {0, 2}}));
  EXPECT_EQ(SumSchedule({{1, 0}, {0, 2}, {0, 3}}), (std::vector<SumStep>{{1, 2}, {0, 1}}));
}

}  // namespace
}  // namespace dcn
