#include "worker/train/rank_share.h"

#include <algorithm>

#include "common/check.h"

namespace dcn::train {

RankShare ShareOf(const BatchCut& cut, std::size_t rows) {
  DCN_CHECK_GE(rows, 1U);
  DCN_CHECK_LE(rows, cut.batch_rows);
  const LeafRange leaves = cut.leaves();
  const std::uint32_t existing = LeafCount(rows, cut.slice_rows);
  RankShare share;
  share.row_begin = std::min(rows, leaves.begin * cut.slice_rows);
  share.row_end = std::min(rows, leaves.end * cut.slice_rows);
  share.nodes = RankNodes(cut.rank, cut.ranks, cut.full_leaves(), existing);
  for (const TreeNode node : share.nodes) {
    const std::size_t end =
        std::min<std::size_t>(share.row_end, std::size_t{node.end()} * cut.slice_rows);
    share.node_ends.push_back(static_cast<std::uint32_t>(end - share.row_begin));
  }
  return share;
}

}  // namespace dcn::train
