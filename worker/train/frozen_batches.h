// The training batches: cut once, the same at every epoch, each planned when it is first needed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "worker/data/batch_plan.h"
#include "worker/data/dataset.h"
#include "worker/train/rank_share.h"

namespace dcn::train {

/// Thread safety: one call at a time. What Get returned stays valid while others are prepared.
class FrozenBatches {
 public:
  /// rows: the training rows of `dataset` in their frozen order; batch i is rows
  /// [i cut.batch_rows, (i+1) cut.batch_rows), the last one short, and its plan is for the rank of
  /// `cut`. dataset and rows must outlive this.
  FrozenBatches(const data::Dataset& dataset, std::span<const std::uint32_t> rows,
                const BatchCut& cut, const data::TableLayout& layout);

  /// Batches of an epoch; at least 1 where there is a row.
  [[nodiscard]] std::size_t count() const { return plans_.size(); }

  [[nodiscard]] bool is_planned(std::size_t index) const { return plans_[index] != nullptr; }

  /// Plans batch `index` unless that is done.
  void Prepare(std::size_t index);

  /// The plan of batch `index`, made now if need be.
  const data::BatchPlan& Get(std::size_t index);

 private:
  const data::Dataset& dataset_;
  const std::span<const std::uint32_t> rows_;
  const BatchCut cut_;
  data::BatchPlanner planner_;
  std::vector<std::unique_ptr<data::BatchPlan>> plans_;
};

}  // namespace dcn::train
