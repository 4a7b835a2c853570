// The fixed binary tree in which everything is summed: the reason why any number of threads,
// workers and servers gives the same bits.
//
// A batch is cut into leaves (slices of `slice_rows` rows). Node (l, i) covers the leaves
// [i 2^l, (i+1) 2^l) that exist; its value is left + right, rounded once, or the only child that
// exists. An absent child is skipped, never added as zero. Which leaves a rank computes and where
// partial sums meet is free; the tree is not.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "common/check.h"

namespace dcn {

/// A node of the tree over the leaves of one step.
struct TreeNode {
  std::uint32_t level = 0;
  std::uint32_t index = 0;

  /// First leaf it covers.
  [[nodiscard]] constexpr std::uint32_t begin() const { return index << level; }
  /// One past the last leaf it may cover.
  [[nodiscard]] constexpr std::uint32_t end() const { return (index + 1) << level; }
  friend constexpr bool operator==(const TreeNode&, const TreeNode&) = default;
};

/// The level at which two disjoint nodes, a before b, meet.
constexpr std::uint32_t MeetingLevel(TreeNode a, TreeNode b) {
  return static_cast<std::uint32_t>(std::bit_width(a.begin() ^ b.begin()));
}

/// The node of `level` that covers `node`. REQUIRES: level >= node.level.
constexpr TreeNode AncestorAt(TreeNode node, std::uint32_t level) {
  return {level, node.begin() >> level};
}

/// A half-open range of leaves.
struct LeafRange {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
  [[nodiscard]] constexpr std::uint32_t size() const { return end - begin; }
  friend constexpr bool operator==(const LeafRange&, const LeafRange&) = default;
};

/// Leaves of a batch: ceil(rows / slice_rows).
constexpr std::uint32_t LeafCount(std::uint64_t rows, std::uint64_t slice_rows) {
  return static_cast<std::uint32_t>((rows + slice_rows - 1) / slice_rows);
}

/// The leaves rank `rank` of `ranks` owns, out of the `full_leaves` of a FULL batch (on short
/// batches too, where some of them do not exist): [floor(r n / N), floor((r+1) n / N)).
constexpr LeafRange RankLeaves(std::uint32_t rank, std::uint32_t ranks, std::uint32_t full_leaves) {
  const auto bound = [&](std::uint64_t r) {
    return static_cast<std::uint32_t>(r * full_leaves / ranks);
  };
  return {bound(rank), bound(rank + 1ULL)};
}

/// The fewest aligned nodes that cover exactly `leaves`, in order: what a rank emits.
/// [0, 16) is one node; [5, 10) is three: 5, 6-7, 8-9.
std::vector<TreeNode> MaximalNodes(LeafRange leaves);

/// The nodes that rank `rank` emits: those of its leaves. The last rank's range is taken to the end
/// of the tree (there are no leaves beyond, and absent is skipped), so that a single rank always
/// emits the root alone.
std::vector<TreeNode> RankNodes(std::uint32_t rank, std::uint32_t ranks, std::uint32_t full_leaves);
/// Those of them that have a leaf in a batch of `leaves` leaves.
std::vector<TreeNode> RankNodes(std::uint32_t rank, std::uint32_t ranks, std::uint32_t full_leaves,
                                std::uint32_t leaves);

/// Sums node values that arrive in leaf order, in the tree's order.
///
/// Holds at most one value a level, so it needs no array of leaves: push every existing node once,
/// in increasing order of begin(), then take the root. `Add` is a callable
/// `void(Value& left, Value&& right)` that adds right into left, rounding once.
/// Thread safety: none.
template <typename Value, typename Add>
class OrderedSum {
 public:
  explicit OrderedSum(Add add) : add_(std::move(add)) { pending_.reserve(kMaxPending); }

  /// REQUIRES: node.begin() >= end() of every node pushed before.
  void Push(TreeNode node, Value value) {
    if (!pending_.empty()) {
      DCN_CHECK_LE(pending_.back().node.end(), node.begin());
      CollapseBelow(MeetingLevel(pending_.back().node, node));  // what is complete before it
    }
    pending_.push_back({node, std::move(value)});
  }

  [[nodiscard]] bool empty() const { return pending_.empty(); }

  /// The value of the root; ready for the next sum afterwards. REQUIRES: !empty().
  Value Take() {
    DCN_CHECK(!pending_.empty());
    CollapseBelow(33);
    Value root = std::move(pending_.back().value);
    pending_.clear();
    return root;
  }

 private:
  // Values that wait for a right sibling: the deepest tree has 32 levels.
  static constexpr std::size_t kMaxPending = 34;

  struct Entry {
    TreeNode node;
    Value value;
  };

  void CollapseBelow(std::uint32_t level) {
    while (pending_.size() >= 2) {
      Entry& right = pending_.back();
      Entry& left = pending_[pending_.size() - 2];
      const std::uint32_t meeting = MeetingLevel(left.node, right.node);
      if (meeting >= level) return;
      add_(left.value, std::move(right.value));
      pending_.pop_back();
    }
  }

  Add add_;
  std::vector<Entry> pending_;  // disjoint, in leaf order; meeting levels decrease towards the back
};

/// One addition of the schedule below: entry `into` becomes into + from.
struct SumStep {
  std::uint32_t into = 0;
  std::uint32_t from = 0;
  friend constexpr bool operator==(const SumStep&, const SumStep&) = default;
};

/// The additions that sum `nodes` (disjoint, in leaf order) to entry 0 in the tree's order: the
/// same tree as OrderedSum, written out once for many sums over the same nodes.
std::vector<SumStep> SumSchedule(const std::vector<TreeNode>& nodes);

}  // namespace dcn
