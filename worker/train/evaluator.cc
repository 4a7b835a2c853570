#include "worker/train/evaluator.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "common/check.h"
#include "worker/communicator/collectives.h"
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

// Predicts `rows` in batches of some slices. squared_errors: by slice.
Status PredictAll(TrainingStep& step, const data::Dataset& dataset,
                  std::span<const std::uint32_t> rows, std::size_t slice_rows,
                  const data::TableLayout& layout, ThreadPool& pool, std::span<float> predictions,
                  std::span<double> squared_errors) {
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
  for (std::size_t b = 0; b < batches; ++b) {
    const std::size_t count = plans[b]->rows();
    DCN_RETURN_IF_ERROR(
        step.Predict(*plans[b], predictions.subspan(b * batch_rows, count),
                     squared_errors.subspan(b * kSlicesPerBatch, LeafCount(count, slice_rows))));
  }
  return Status();
}

}  // namespace

Result<Evaluation> Evaluate(TrainingStep& step, const data::Dataset& dataset,
                            std::span<const std::uint32_t> rows, std::size_t slice_rows,
                            const data::TableLayout& layout, comm::Communicator& communicator,
                            ThreadPool& pool) {
  DCN_CHECK(!rows.empty());
  const auto ranks = static_cast<std::uint32_t>(communicator.size());
  const std::uint32_t leaves = LeafCount(rows.size(), slice_rows);
  std::vector<std::size_t> leaf_bounds = {0};
  std::vector<std::size_t> row_bounds = {0};
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    leaf_bounds.push_back(RankLeaves(rank, ranks, leaves).end);
    row_bounds.push_back(std::min(rows.size(), leaf_bounds.back() * slice_rows));
  }

  Evaluation evaluation;
  evaluation.predictions.resize(rows.size());
  std::vector<double> errors(leaves);
  const auto own = static_cast<std::size_t>(communicator.rank());
  const auto part = [own](auto all, const std::vector<std::size_t>& bounds) {
    return all.subspan(bounds[own], bounds[own + 1] - bounds[own]);
  };
  const std::span<float> predictions = evaluation.predictions;
  DCN_RETURN_IF_ERROR(PredictAll(step, dataset, part(rows, row_bounds), slice_rows, layout, pool,
                                 part(predictions, row_bounds),
                                 part(std::span(errors), leaf_bounds)));
  DCN_RETURN_IF_ERROR(
      comm::AllGatherRanges(communicator, predictions, row_bounds, "predictions of the test rows"));
  DCN_RETURN_IF_ERROR(comm::AllGatherRanges(communicator, std::span(errors), leaf_bounds,
                                            "squared errors of the test rows"));
  evaluation.rmse = std::sqrt(TreeSum(std::move(errors)) / static_cast<double>(rows.size()));
  return evaluation;
}

}  // namespace dcn::train
