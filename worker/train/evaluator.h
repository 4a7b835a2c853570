// Root mean squared error over a set of ratings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/status.h"
#include "common/thread_pool.h"
#include "worker/communicator/communicator.h"
#include "worker/data/dataset.h"
#include "worker/train/training_step.h"

namespace dcn::train {

struct Evaluation {
  std::vector<float> predictions;  // by position in the rows
  double rmse = 0;
};

/// Predicts `rows` of the dataset, each rank its part of them, and sums the squared errors over
/// slices of slice_rows, in double, in the tree's order: sqrt(sum / count). At least one row.
/// Called by all ranks; each has the whole evaluation. Errors: those of TrainingStep::Predict and
/// Communicator::Exchange.
[[nodiscard]] Result<Evaluation> Evaluate(TrainingStep& step, const data::Dataset& dataset,
                                          std::span<const std::uint32_t> rows,
                                          std::size_t slice_rows, const data::TableLayout& layout,
                                          comm::Communicator& communicator, ThreadPool& pool);

}  // namespace dcn::train
