#include "worker/train/frozen_batches.h"

#include <algorithm>

#include "common/check.h"

namespace dcn::train {

FrozenBatches::FrozenBatches(const data::Dataset& dataset, std::span<const std::uint32_t> rows,
                             const BatchCut& cut, const data::TableLayout& layout)
    : dataset_(dataset), rows_(rows), cut_(cut), planner_(layout) {
  DCN_CHECK_GE(cut.batch_rows, 1U);
  plans_.resize((rows.size() + cut.batch_rows - 1) / cut.batch_rows);
}

void FrozenBatches::Prepare(std::size_t index) {
  std::unique_ptr<data::BatchPlan>& plan = plans_[index];
  if (plan) return;
  const std::size_t begin = index * cut_.batch_rows;
  const std::size_t count = std::min(cut_.batch_rows, rows_.size() - begin);
  const RankShare share = ShareOf(cut_, count);
  plan = std::make_unique<data::BatchPlan>(planner_.Build(
      dataset_, rows_.subspan(begin + share.row_begin, share.row_end - share.row_begin),
      {.batch_rows = count, .node_ends = share.node_ends}));
}

const data::BatchPlan& FrozenBatches::Get(std::size_t index) {
  Prepare(index);
  return *plans_[index];
}

}  // namespace dcn::train
