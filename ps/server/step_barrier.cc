#include "ps/server/step_barrier.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "common/check.h"

namespace dcn::ps {
namespace {

bool Overlap(TreeNode a, TreeNode b) { return a.begin() < b.end() && b.begin() < a.end(); }

bool IsIncreasing(std::span<const Key> keys) {
  return std::ranges::adjacent_find(keys, std::ranges::greater_equal()) == keys.end();
}

}  // namespace

StepBarrier::StepBarrier(std::uint32_t ranks, Step first_step)
    : current_step_(first_step), parts_(ranks) {
  DCN_CHECK_GE(ranks, 1U);
}

Status StepBarrier::CheckAgainstOthers(const PushRequest& push) const {
  if (push.rank >= parts_.size()) {
    return Error(StatusCode::kInvalidArgument, "push of rank {}, step {}: there are {} ranks",
                 push.rank, push.step, parts_.size());
  }
  if (push.step != current_step_) {
    return Error(StatusCode::kOutOfRange, "push of rank {}: step {} where step {} is next",
                 push.rank, push.step, current_step_);
  }
  if (parts_[push.rank].has_pushed) {
    return Error(StatusCode::kAlreadyExists, "push of rank {}, step {}: it has pushed this step",
                 push.rank, push.step);
  }
  if (pushed_count_ > 0 && push.learning_rate != learning_rate_) {
    return Error(StatusCode::kInvalidArgument,
                 "push of rank {}, step {}: learning rate {} where another rank has {}; all ranks "
                 "must run the same configuration",
                 push.rank, push.step, push.learning_rate, learning_rate_);
  }
  for (std::size_t rank = 0; rank < parts_.size(); ++rank) {
    if (!parts_[rank].has_pushed) continue;
    for (const TreeNode& other : parts_[rank].nodes) {
      for (const TreeNode& node : push.nodes) {
        if (!Overlap(node, other)) continue;
        return Error(StatusCode::kInvalidArgument,
                     "push of rank {}, step {}: tree node ({}, {}) overlaps ({}, {}) of rank {}; "
                     "all ranks must run the same batch and slice sizes",
                     push.rank, push.step, node.level, node.index, other.level, other.index, rank);
      }
    }
  }
  return Status();
}

Status StepBarrier::Add(const PushRequest& push, std::span<const TableDefinition> tables) {
  DCN_RETURN_IF_ERROR(CheckAgainstOthers(push));
  Part& part = parts_[push.rank];
  Prepare(part, tables);
  for (const RowGradients& rows : push.gradients) {
    if (parts_.size() == 1 && IsIncreasing(rows.keys)) {
      sums_[rows.table].borrowed = {.table = rows.table, .keys = rows.keys, .values = rows.values};
      continue;
    }
    const auto& partials = TakePart(push, rows, part.tables[rows.table]);
    const auto twice = std::ranges::adjacent_find(
        partials, [](const auto& a, const auto& b) { return a.key == b.key && a.node == b.node; });
    if (twice == partials.end()) continue;
    return Error(StatusCode::kInvalidArgument,
                 "push of rank {}, step {}: table '{}', key {} stands twice at tree node ({}, {})",
                 push.rank, push.step, tables[rows.table].name, twice->key, twice->node.level,
                 twice->node.index);
  }
  part.nodes.assign(push.nodes.begin(), push.nodes.end());
  part.has_pushed = true;
  ++pushed_count_;
  learning_rate_ = push.learning_rate;
  return Status();
}

// Empties what the rank left from an earlier step, or from a part that was refused.
void StepBarrier::Prepare(Part& part, std::span<const TableDefinition> tables) {
  while (sums_.size() < tables.size()) sums_.emplace_back(tables[sums_.size()].dimension);
  part.tables.resize(tables.size());
  for (TablePart& table_part : part.tables) table_part.partials.clear();
  if (parts_.size() > 1) return;
  for (Sums& sums : sums_) sums.borrowed.reset();
}

// Lists the partial sums of one table in increasing order; copies their values unless the part
// completes the step.
const std::vector<StepBarrier::Partial>& StepBarrier::TakePart(const PushRequest& push,
                                                               const RowGradients& rows,
                                                               TablePart& table_part) {
  const std::size_t dimension = sums_[rows.table].tree.dimension();
  const float* values = rows.values.data();
  if (pushed_count_ + 1 < parts_.size()) {
    table_part.values.assign(rows.values.begin(), rows.values.end());
    values = table_part.values.data();
  }
  std::vector<Partial>& partials = table_part.partials;
  for (std::size_t i = 0; i < rows.keys.size(); ++i) {
    partials.push_back(
        {.key = rows.keys[i], .node = push.nodes[rows.nodes[i]], .values = values + i * dimension});
  }
  if (!std::is_sorted(partials.begin(), partials.end())) {
    std::sort(partials.begin(), partials.end());
  }
  return partials;
}

std::vector<std::uint32_t> StepBarrier::MissingRanks() const {
  std::vector<std::uint32_t> missing;
  for (std::uint32_t rank = 0; rank < parts_.size(); ++rank) {
    if (!parts_[rank].has_pushed) missing.push_back(rank);
  }
  return missing;
}

std::span<const SummedGradients> StepBarrier::Take() {
  DCN_CHECK(is_complete());
  result_.clear();
  for (TableId table = 0; table < sums_.size(); ++table) {
    Sums& sums = sums_[table];
    if (sums.borrowed) {
      result_.push_back(*sums.borrowed);
      continue;
    }
    MergeParts(sums, table);
    if (sums.partials.empty()) continue;
    SumRows(sums);
    const std::size_t size = sums.keys.size() * sums.tree.dimension();
    result_.push_back(
        {.table = table, .keys = sums.keys, .values = std::span(sums.values).first(size)});
  }
  for (Part& part : parts_) part.has_pushed = false;
  pushed_count_ = 0;
  ++current_step_;
  return result_;
}

// Merges the ranks' sorted partials two and two until one sorted run is left.
void StepBarrier::MergeParts(Sums& sums, TableId table) {
  std::vector<Partial>& merged = sums.partials;
  merged.clear();
  run_ends_.clear();
  for (const Part& part : parts_) {
    const auto& partials = part.tables[table].partials;
    if (partials.empty()) continue;
    merged.insert(merged.end(), partials.begin(), partials.end());
    run_ends_.push_back(merged.size());
  }
  while (run_ends_.size() > 1) {
    merge_buffer_.resize(merged.size());
    std::size_t begin = 0;
    std::size_t runs = 0;
    for (std::size_t i = 0; i < run_ends_.size(); i += 2) {
      const std::size_t middle = run_ends_[i];
      const std::size_t end = run_ends_[std::min(i + 1, run_ends_.size() - 1)];
      std::merge(merged.data() + begin, merged.data() + middle, merged.data() + middle,
                 merged.data() + end, merge_buffer_.data() + begin);
      run_ends_[runs++] = end;
      begin = end;
    }
    run_ends_.resize(runs);
    std::swap(merged, merge_buffer_);
  }
}

// Sums each row's partials in the tree's order.
void StepBarrier::SumRows(Sums& sums) {
  const std::vector<Partial>& partials = sums.partials;
  const std::size_t dimension = sums.tree.dimension();
  sums.keys.clear();
  // Room for all partials: the sum of a row starts at or before the place of its first one.
  const std::size_t room = partials.size() * dimension;
  if (sums.values.size() < room) sums.values.resize(room);
  for (std::size_t i = 0; i < partials.size();) {
    const Key key = partials[i].key;
    sums.tree.Begin(sums.values.data() + sums.keys.size() * dimension);
    for (; i < partials.size() && partials[i].key == key; ++i) {
      sums.tree.Add(partials[i].node, partials[i].values);
    }
    sums.tree.Finish();
    sums.keys.push_back(key);
  }
}

}  // namespace dcn::ps
