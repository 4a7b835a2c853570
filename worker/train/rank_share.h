// Which rows of a batch a rank computes, and the tree nodes that it emits for them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/reduction_tree.h"

namespace dcn::train {

/// How batches are cut over ranks: the same on every rank, but for `rank`.
struct BatchCut {
  std::size_t batch_rows = 8192;  // of a full batch
  std::size_t slice_rows = 512;   // of a leaf
  std::uint32_t rank = 0;
  std::uint32_t ranks = 1;

  [[nodiscard]] std::uint32_t full_leaves() const { return LeafCount(batch_rows, slice_rows); }
  /// The leaves that are this rank's in a full batch.
  [[nodiscard]] LeafRange leaves() const { return RankLeaves(rank, ranks, full_leaves()); }
};

/// This rank's part of one batch; nothing where the batch is too short to reach its leaves.
struct RankShare {
  std::size_t row_begin = 0;  // rows [row_begin, row_end) of the batch
  std::size_t row_end = 0;
  std::vector<TreeNode> nodes;           // that exist, in leaf order
  std::vector<std::uint32_t> node_ends;  // by node: rows from row_begin
};

/// rows: of the batch, 1 <= rows <= cut.batch_rows.
[[nodiscard]] RankShare ShareOf(const BatchCut& cut, std::size_t rows);

}  // namespace dcn::train
