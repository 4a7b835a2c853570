// A push request that owns what it points to, built row by row.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "common/check.h"
#include "ps/protocol.h"

namespace dcn::ps::testing {

/// Entries keep the order in which they are added.
class PushParts {
 public:
  PushParts(std::uint32_t rank, Step step, float learning_rate, std::vector<TreeNode> nodes)
      : rank_(rank), step_(step), learning_rate_(learning_rate), nodes_(std::move(nodes)) {}

  /// node: one of the constructor's.
  void Add(TableId table, Key key, TreeNode node, std::span<const float> values) {
    const auto place = std::ranges::find(nodes_, node);
    DCN_CHECK(place != nodes_.end());
    Rows& rows = tables_[table];
    rows.keys.push_back(key);
    rows.nodes.push_back(static_cast<std::uint16_t>(place - nodes_.begin()));
    rows.values.insert(rows.values.end(), values.begin(), values.end());
  }

  /// Valid until the next call that is not const.
  PushRequest Request() {
    gradients_.clear();
    for (const auto& [table, rows] : tables_) {
      gradients_.push_back(
          {.table = table, .keys = rows.keys, .nodes = rows.nodes, .values = rows.values});
    }
    return {.rank = rank_,
            .step = step_,
            .learning_rate = learning_rate_,
            .nodes = nodes_,
            .gradients = gradients_};
  }

  /// Spoils everything the request points to, as a sender may once it is done.
  void Spoil() {
    for (auto& entry : tables_) {
      std::ranges::fill(entry.second.keys, 0xdeadU);
      std::ranges::fill(entry.second.values, 1e30F);
    }
    std::ranges::fill(nodes_, TreeNode{7, 7});
  }

 private:
  struct Rows {
    std::vector<Key> keys;
    std::vector<std::uint16_t> nodes;
    std::vector<float> values;
  };
  std::uint32_t rank_;
  Step step_;
  float learning_rate_;
  std::vector<TreeNode> nodes_;
  std::map<TableId, Rows> tables_;
  std::vector<RowGradients> gradients_;
};

}  // namespace dcn::ps::testing
