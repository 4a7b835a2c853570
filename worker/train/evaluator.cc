#include "worker/train/evaluator.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "common/check.h"
#include "worker/data/batch_plan.h"

namespace dcn::train {
namespace {

// Slices that are pulled and predicted together: many for few requests, few for small buffers.
constexpr std::size_t kSlicesPerBatch = 64;

double TreeSum(std::vector<double> leaves) {
  std::vector<TreeNode> nodes(leaves.size());
  for (std::uint32_t i = 0; i < leaves.size(); ++i) nodes[i] = {0, i};
  for (const SumStep& sum : SumSchedule(nodes)) leaves[sum.into] += leaves[sum.from];
  return leaves[0];
}

}  // namespace

Result<Evaluation> Evaluate(TrainingStep& step, const data::Dataset& dataset,
                            std::span<const std::uint32_t> rows, std::size_t slice_rows,
                            const data::TableLayout& layout, ThreadPool& pool) {
  DCN_CHECK(!rows.empty());
  const std::size_t batch_rows = kSlicesPerBatch * slice_rows;
  const std::size_t batches = (rows.size() + batch_rows - 1) / batch_rows;
  const auto batch = [&](std::size_t b) {
    const std::size_t begin = b * batch_rows;
    return rows.subspan(begin, std::min(batch_rows, rows.size() - begin));
  };

  std::vector<std::unique_ptr<data::BatchPlanner>> planners(
      static_cast<std::size_t>(pool.thread_count()));
  std::vector<std::unique_ptr<data::BatchPlan>> plans(batches);
  pool.ParallelFor(batches, [&](int thread, std::size_t b) {
    auto& planner = planners[static_cast<std::size_t>(thread)];
    if (!planner) planner = std::make_unique<data::BatchPlanner>(layout);
    plans[b] = std::make_unique<data::BatchPlan>(planner->Build(dataset, batch(b)));
  });

  Evaluation evaluation;
  evaluation.predictions.resize(rows.size());
  std::vector<double> errors(LeafCount(rows.size(), slice_rows));
  for (std::size_t b = 0; b < batches; ++b) {
    const std::size_t count = plans[b]->rows();
    DCN_RETURN_IF_ERROR(
        step.Predict(*plans[b], std::span(evaluation.predictions).subspan(b * batch_rows, count),
                     std::span(errors).subspan(b * kSlicesPerBatch, LeafCount(count, slice_rows))));
  }
  evaluation.rmse = std::sqrt(TreeSum(std::move(errors)) / static_cast<double>(rows.size()));
  return evaluation;
}

}  // namespace dcn::train
