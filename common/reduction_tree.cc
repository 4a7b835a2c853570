#include "common/reduction_tree.h"

#include <algorithm>

namespace dcn {

std::vector<TreeNode> MaximalNodes(LeafRange leaves) {
  std::vector<TreeNode> nodes;
  std::uint32_t begin = leaves.begin;
  while (begin < leaves.end) {
    const auto room = static_cast<std::uint32_t>(std::bit_width(leaves.end - begin)) - 1U;
    const auto alignment = begin == 0 ? room : static_cast<std::uint32_t>(std::countr_zero(begin));
    const std::uint32_t level = std::min(room, alignment);
    nodes.push_back({level, begin >> level});
    begin += 1U << level;
  }
  return nodes;
}

std::vector<TreeNode> RankNodes(std::uint32_t rank, std::uint32_t ranks,
                                std::uint32_t full_leaves) {
  LeafRange leaves = RankLeaves(rank, ranks, full_leaves);
  if (rank + 1 == ranks && leaves.size() > 0) leaves.end = std::bit_ceil(full_leaves);
  return MaximalNodes(leaves);
}

std::vector<TreeNode> RankNodes(std::uint32_t rank, std::uint32_t ranks, std::uint32_t full_leaves,
                                std::uint32_t leaves) {
  std::vector<TreeNode> nodes = RankNodes(rank, ranks, full_leaves);
  std::erase_if(nodes, [leaves](const TreeNode& node) { return node.begin() >= leaves; });
  return nodes;
}

std::vector<SumStep> SumSchedule(const std::vector<TreeNode>& nodes) {
  std::vector<SumStep> steps;
  const auto add = [&steps](std::uint32_t& into, std::uint32_t&& from) {
    steps.push_back({into, from});
  };
  OrderedSum<std::uint32_t, decltype(add)> sum(add);
  for (std::uint32_t i = 0; i < nodes.size(); ++i) sum.Push(nodes[i], i);
  if (!sum.empty()) sum.Take();
  return steps;
}

}  // namespace dcn
