// Which rows and nodes are a rank's, against the definition of a leaf's rows.
#include "worker/train/rank_share.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "common/check.h"

namespace dcn::train {
namespace {

// Each node's rows are those of its leaves, as far as the batch has them, and nothing is between.
void ExpectNodesHoldTheRows(const BatchCut& cut, const RankShare& share, std::size_t rows) {
  ASSERT_EQ(share.nodes.size(), share.node_ends.size());
  EXPECT_EQ(share.nodes.empty(), share.row_begin == share.row_end);
  std::size_t begin = share.row_begin;
  for (std::size_t i = 0; i < share.nodes.size(); ++i) {
    EXPECT_EQ(begin, share.nodes[i].begin() * cut.slice_rows);
    EXPECT_LT(begin, share.row_begin + share.node_ends[i]);
    begin = share.row_begin + share.node_ends[i];
    EXPECT_EQ(begin, std::min(rows, share.nodes[i].end() * cut.slice_rows));
  }
  EXPECT_EQ(begin, share.row_end);
}

TEST(RankShareTest, PartsOfAllRanksAreTheBatchInOrder) {
  for (const std::size_t batch_rows : {1U, 7U, 100U, 1024U}) {
    for (const std::size_t slice_rows : {1U, 8U, 13U, 2000U}) {
      const std::set<std::size_t> row_counts = {1, std::min<std::size_t>(slice_rows, batch_rows),
                                                batch_rows / 2 + 1, batch_rows - batch_rows / 3,
                                                batch_rows};
      for (const std::uint32_t ranks : {1U, 2U, 3U, 9U}) {
        for (const std::size_t rows : row_counts) {
          SCOPED_TRACE(fmt::format("{} of {} rows, slices of {}, {} ranks", rows, batch_rows,
                                   slice_rows, ranks));
          std::size_t end = 0;
          for (std::uint32_t rank = 0; rank < ranks; ++rank) {
            const BatchCut cut = {batch_rows, slice_rows, rank, ranks};
            const RankShare share = ShareOf(cut, rows);
            EXPECT_EQ(share.row_begin, end);
            end = share.row_end;
            ExpectNodesHoldTheRows(cut, share, rows);
          }
          EXPECT_EQ(end, rows);
        }
      }
    }
  }
}

TEST(RankShareTest, ARankAloneHasTheRootOfWholeAndShortBatches) {
  const BatchCut cut = {.batch_rows = 100, .slice_rows = 8};
  for (const std::size_t rows : {1U, 30U, 100U}) {
    const RankShare share = ShareOf(cut, rows);
    EXPECT_EQ(share.nodes, (std::vector<TreeNode>{{4, 0}}));
    EXPECT_EQ(share.node_ends, (std::vector<std::uint32_t>{static_cast<std::uint32_t>(rows)}));
    EXPECT_EQ(share.row_end, rows);
  }
}

// Ten leaves of ten rows: ranks have leaves 0-2, 3-5 and 6-9.
TEST(RankShareTest, AShortBatchLeavesRanksTheirLeaves) {
  const BatchCut middle = {.batch_rows = 100, .slice_rows = 10, .rank = 1, .ranks = 3};
  const RankShare whole = ShareOf(middle, 100);
  EXPECT_EQ(whole.row_begin, 30U);
  EXPECT_EQ(whole.row_end, 60U);
  EXPECT_EQ(whole.nodes, (std::vector<TreeNode>{{0, 3}, {1, 2}}));
  EXPECT_EQ(whole.node_ends, (std::vector<std::uint32_t>{10, 30}));
  const RankShare half = ShareOf(middle, 45);
  EXPECT_EQ(half.row_begin, 30U);
  EXPECT_EQ(half.row_end, 45U);
  EXPECT_EQ(half.nodes, whole.nodes);
  EXPECT_EQ(half.node_ends, (std::vector<std::uint32_t>{10, 15}));
  const RankShare first_leaf = ShareOf(middle, 40);
  EXPECT_EQ(first_leaf.nodes, (std::vector<TreeNode>{{0, 3}}));
  EXPECT_EQ(first_leaf.node_ends, (std::vector<std::uint32_t>{10}));
}

TEST(RankShareTest, ARankBeyondAShortBatchHasNothing) {
  const RankShare share = ShareOf({.batch_rows = 100, .slice_rows = 10, .rank = 2, .ranks = 3}, 45);
  EXPECT_EQ(share.row_begin, share.row_end);
  EXPECT_TRUE(share.nodes.empty());
  EXPECT_TRUE(share.node_ends.empty());
}

TEST(RankShareTest, ABatchOfNoRowsOrOfTooManyIsABug) {
  EXPECT_THROW((void)ShareOf({.batch_rows = 100, .slice_rows = 10}, 0), CheckError);
  EXPECT_THROW((void)ShareOf({.batch_rows = 100, .slice_rows = 10}, 101), CheckError);
}

}  // namespace
}  // namespace dcn::train
