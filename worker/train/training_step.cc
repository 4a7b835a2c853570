#include "worker/train/training_step.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "common/check.h"
#include "common/vectorize.h"

namespace dcn::train {
namespace {

// Dense parameters that one thread sums and updates at a time: with all leaves' parts of it, about
// a core's second-level cache.
constexpr std::size_t kDenseRange = 2048;

// Fixed sizes become a few vector moves; the call of memcpy costs more than the copy.
void CopyRow(const float* from, std::uint32_t dimension, float* to) {
  switch (dimension) {
    case 16:
      std::memcpy(to, from, 16 * sizeof(float));
      return;
    case 32:
      std::memcpy(to, from, 32 * sizeof(float));
      return;
    case 64:
      std::memcpy(to, from, 64 * sizeof(float));
      return;
    default:
      std::memcpy(to, from, dimension * sizeof(float));
  }
}

std::vector<std::uint32_t> Dimensions(const model::ModelSpec& spec) {
  std::vector<std::uint32_t> dimensions;
  for (const model::FeatureSpec& feature : spec.features) dimensions.push_back(feature.dimension);
  return dimensions;
}

}  // namespace

std::vector<ps::TableDefinition> TableDefinitions(const model::ModelSpec& spec, std::uint64_t seed,
                                                  const ps::OptimizerOptions& optimizer) {
  std::vector<ps::TableDefinition> tables;
  for (const model::FeatureSpec& feature : spec.features) {
    ps::TableDefinition table;
    table.name = "embedding/" + feature.name;
    table.dimension = feature.dimension;
    table.initializer.seed = seed;
    table.optimizer = optimizer;
    tables.push_back(std::move(table));
  }
  return tables;
}

data::TableLayout MakeTableLayout(const model::ModelSpec& spec, std::uint32_t shard_count) {
  data::TableLayout layout;
  layout.dimensions = Dimensions(spec);
  for (const model::FeatureSpec& feature : spec.features) layout.rows.push_back(feature.rows);
  layout.shard_count = shard_count;
  return layout;
}

TrainingStep::TrainingStep(const model::ModelSpec& spec, const StepOptions& options,
                           std::vector<float> dense, model::DenseModel& model, Shards& shards,
                           comm::Communicator& communicator, ThreadPool& pool)
    : dimensions_(Dimensions(spec)),
      width_(spec.input_width()),
      options_(options),
      model_(model),
      shards_(shards),
      communicator_(communicator),
      pool_(pool),
      dense_(options.optimizer, std::move(dense)),
      reduction_(communicator, pool, options.cut.full_leaves(), spec.dense_size()),
      leaf_stride_((spec.dense_size() + 15) / 16 * 16),
      pulls_(shards.size()),
      gradients_(shards.size()) {
  DCN_CHECK_EQ(dense_.parameters().size(), spec.dense_size());
  DCN_CHECK_EQ(static_cast<int>(options.cut.rank), communicator.rank());
  DCN_CHECK_EQ(static_cast<int>(options.cut.ranks), communicator.size());
  const std::size_t leaves = options.cut.leaves().size();
  x0_gradients_.EnsureSize(std::min(options.cut.batch_rows, leaves * options.cut.slice_rows) *
                           width_);
  leaf_gradients_.EnsureSize(leaves * leaf_stride_);
  if (options.cut.ranks > 1) dense_gradient_.EnsureSize(spec.dense_size());
  const std::uint32_t widest = *std::max_element(dimensions_.begin(), dimensions_.end());
  for (int thread = 0; thread < pool.thread_count(); ++thread) {
    threads_.push_back(std::make_unique<ThreadState>(options.cut, width_, widest));
  }
  model_.SetParameters(dense_.parameters(), pool_);
}

void TrainingStep::AssignDense(std::span<const float> parameters) {
  dense_.Assign(parameters);
  model_.SetParameters(dense_.parameters(), pool_);
}

Status TrainingStep::Pull(const data::BatchPlan& batch) {
  PreparePull(&batch, pulled_);
  pool_.ParallelFor(shards_.size(),
                    [this](int, std::size_t s) { shards_[s]->StartPull(pulls_[s]); });
  return FinishShards();
}

Result<double> TrainingStep::Run(const data::BatchPlan& batch, const data::BatchPlan* next,
                                 float learning_rate, const std::function<void()>& beside) {
  LayOut(batch);
  ++step_;
  predictions_.resize(batch.rows());
  const std::size_t leaves = LeafCount(batch.rows(), options_.cut.slice_rows);
  leaf_errors_.resize(leaves);

  const std::size_t others = beside ? 1 : 0;
  pool_.ParallelFor(leaves + others, [&](int thread, std::size_t i) {
    i < others ? beside() : ComputeSlice(thread, batch, i - others);
  });

  pushed_.EnsureSize(batch.push_value_count());
  pool_.ParallelFor(batch.work().size(), [&](int thread, std::size_t i) {
    SumRowGradients(thread, batch, batch.work()[i]);
  });

  PreparePush(batch);
  PreparePull(next, other_);
  double squared_error = 0;
  if (communicator_.size() == 1) {
    squared_error = PushPullAndUpdateAlone(learning_rate);
  } else {
    DCN_ASSIGN_OR_RETURN(squared_error, PushPullAndUpdate(batch.batch_rows(), learning_rate));
  }
  model_.SetParameters(dense_.parameters(), pool_);
  DCN_RETURN_IF_ERROR(FinishShards());
  if (next != nullptr) std::swap(pulled_, other_);
  return squared_error;
}

Status TrainingStep::Predict(const data::BatchPlan& batch, std::span<float> predictions,
                             std::span<double> squared_errors) {
  const std::size_t leaves = LeafCount(batch.rows(), options_.cut.slice_rows);
  DCN_CHECK_EQ(predictions.size(), batch.rows());
  DCN_CHECK_EQ(squared_errors.size(), leaves);
  PreparePull(&batch, other_);
  pool_.ParallelFor(shards_.size(),
                    [this](int, std::size_t s) { shards_[s]->StartPull(pulls_[s]); });
  DCN_RETURN_IF_ERROR(FinishShards());
  pool_.ParallelFor(leaves, [&](int thread, std::size_t leaf) {
    const std::size_t begin = leaf * options_.cut.slice_rows;
    const std::size_t rows = LeafRows(batch, leaf);
    const std::span<const float> x0 = GatherSlice(thread, batch, leaf, other_.get());
    const std::span<float> out = predictions.subspan(begin, rows);
    model_.Forward(thread, x0, out);
    double sum = 0;
    for (std::size_t i = 0; i < rows; ++i) {
      const double error = static_cast<double>(out[i] - batch.labels()[begin + i]);
      sum += error * error;
    }
    squared_errors[leaf] = sum;
  });
  return Status();
}

std::size_t TrainingStep::LeafRows(const data::BatchPlan& batch, std::size_t leaf) const {
  return std::min(options_.cut.slice_rows, batch.rows() - leaf * options_.cut.slice_rows);
}

// x0 of one slice: its rows' embeddings side by side, in the thread's own buffer.
std::span<const float> TrainingStep::GatherSlice(int thread, const data::BatchPlan& batch,
                                                 std::size_t leaf, const float* values) {
  AlignedFloats& x0 = threads_[static_cast<std::size_t>(thread)]->x0;
  const std::size_t begin = leaf * options_.cut.slice_rows;
  const std::size_t rows = LeafRows(batch, leaf);
  float* to = x0.get();
  for (std::size_t row = begin; row < begin + rows; ++row) {
    const auto offsets = batch.value_offsets(row);
    for (std::size_t f = 0; f < offsets.size(); ++f) {
      CopyRow(values + offsets[f], dimensions_[f], to);
      to += dimensions_[f];
    }
  }
  return {x0.get(), rows * width_};
}

void TrainingStep::ComputeSlice(int thread, const data::BatchPlan& batch, std::size_t leaf) {
  const std::size_t begin = leaf * options_.cut.slice_rows;
  const std::size_t rows = LeafRows(batch, leaf);
  const model::TrainingSlice slice{.x0 = GatherSlice(thread, batch, leaf, pulled_.get()),
                                   .labels = batch.labels().subspan(begin, rows),
                                   .gradient_scale = 2.0F / static_cast<float>(batch.batch_rows())};
  model::SliceGradient out{
      .predictions = std::span(predictions_).subspan(begin, rows),
      .dense_gradient =
          leaf_gradients_.span().subspan(leaf * leaf_stride_, dense_.parameters().size()),
      .x0_gradient = x0_gradients_.span().subspan(begin * width_, rows * width_)};
  model_.ForwardBackward(thread, slice, out);
  leaf_errors_[leaf] = out.squared_error;
}

void TrainingStep::SumRowGradients(int thread, const data::BatchPlan& batch,
                                   const data::PushRange& range) {
  const data::Segment& segment = batch.segments()[range.segment];
  const std::size_t dimension = dimensions_[segment.table];
  std::size_t column = 0;  // of the feature in x0
  for (std::size_t f = 0; f < segment.table; ++f) column += dimensions_[f];
  RowGradientSummer& summer = threads_[static_cast<std::size_t>(thread)]->row_gradients;
  for (std::size_t push = range.begin; push < range.end; ++push) {
    const std::size_t offset = segment.push_offset + (push - segment.first_push) * dimension;
    summer.Sum(batch.push_occurrences(push), x0_gradients_.get() + column, width_,
               pushed_.span().subspan(offset, dimension));
  }
}

void TrainingStep::PreparePush(const data::BatchPlan& batch) {
  for (std::uint32_t s = 0; s < shards_.size(); ++s) {
    gradients_[s].clear();
    for (const data::Segment& segment : batch.shard_segments(s)) {
      gradients_[s].push_back(
          {.table = segment.table,
           .keys = batch.push_keys().subspan(segment.first_push, segment.push_count),
           .nodes = batch.push_nodes().subspan(segment.first_push, segment.push_count),
           .values = pushed_.span().subspan(segment.push_offset,
                                            segment.push_count * dimensions_[segment.table])});
    }
  }
}

// What each shard has to read for `batch` (nothing without one), into `values`.
void TrainingStep::PreparePull(const data::BatchPlan* batch, AlignedFloats& values) {
  if (batch != nullptr) values.EnsureSize(batch->value_count());
  for (std::uint32_t s = 0; s < shards_.size(); ++s) {
    pulls_[s].clear();
    if (batch == nullptr) continue;
    for (const data::Segment& segment : batch->shard_segments(s)) {
      pulls_[s].push_back(
          {.table = segment.table,
           .keys = batch->keys().subspan(segment.first_entry, segment.entry_count),
           .values = values.span().subspan(segment.value_offset,
                                           segment.entry_count * dimensions_[segment.table])});
    }
  }
}

void TrainingStep::StartPushPull(std::size_t shard, float learning_rate) {
  shards_[shard]->StartPushPull({.rank = options_.cut.rank,
                                 .step = step_,
                                 .learning_rate = learning_rate,
                                 .nodes = share_.nodes,
                                 .gradients = gradients_[shard]},
                                pulls_[shard]);
}

// The shards' requests first: a remote shard works while this process updates its dense weights.
// Returns the batch's squared error.
double TrainingStep::PushPullAndUpdateAlone(float learning_rate) {
  const std::size_t count = dense_.parameters().size();
  const std::size_t ranges = (count + kDenseRange - 1) / kDenseRange;
  pool_.ParallelFor(shards_.size() + ranges, [&](int, std::size_t i) {
    if (i < shards_.size()) return StartPushPull(i, learning_rate);
    const std::size_t begin = (i - shards_.size()) * kDenseRange;
    const std::size_t size = std::min(kDenseRange, count - begin);
    SumLeaves(begin, size);
    dense_.Update(step_, learning_rate, begin, leaf_gradients_.span().subspan(begin, size));
  });
  for (const SumStep& sum : schedule_) leaf_errors_[sum.into] += leaf_errors_[sum.from];
  return leaf_errors_[0];
}

// The same where other ranks have parts of the gradient: the reduction runs while the shards work.
Result<double> TrainingStep::PushPullAndUpdate(std::size_t batch_rows, float learning_rate) {
  pool_.ParallelFor(shards_.size(), [&](int, std::size_t s) { StartPushPull(s, learning_rate); });

  for (const SumStep& sum : schedule_) leaf_errors_[sum.into] += leaf_errors_[sum.from];
  node_errors_.clear();
  for (const std::size_t leaf : node_leaves_) node_errors_.push_back(leaf_errors_[leaf]);
  const auto node_values = [&](std::size_t begin, std::size_t size, std::span<float* const> out) {
    SumLeaves(begin, size);
    for (std::size_t k = 0; k < out.size(); ++k) {
      std::copy_n(leaf_gradients_.get() + node_leaves_[k] * leaf_stride_ + begin, size, out[k]);
    }
  };
  const std::size_t count = dense_.parameters().size();
  const std::span<float> gradient = dense_gradient_.span().first(count);
  DCN_ASSIGN_OR_RETURN(
      const double squared_error,
      reduction_.Run(LeafCount(batch_rows, options_.cut.slice_rows), node_values, node_errors_,
                     gradient, "dense gradients of step " + std::to_string(step_)));
  pool_.ParallelFor((count + kDenseRange - 1) / kDenseRange, [&](int, std::size_t range) {
    const std::size_t begin = range * kDenseRange;
    dense_.Update(step_, learning_rate, begin,
                  gradient.subspan(begin, std::min(kDenseRange, count - begin)));
  });
  return squared_error;
}

// Sums dense gradients [begin, begin + count) of this rank's leaves to its nodes, in place.
void TrainingStep::SumLeaves(std::size_t begin, std::size_t count) {
  for (const SumStep& sum : schedule_) {
    float* const into = leaf_gradients_.get() + sum.into * leaf_stride_ + begin;
    const float* const from = leaf_gradients_.get() + sum.from * leaf_stride_ + begin;
    DCN_INDEPENDENT_ITERATIONS
    for (std::size_t i = 0; i < count; ++i) into[i] += from[i];
  }
}

Status TrainingStep::FinishShards() {
  Status first;
  for (const auto& shard : shards_) {
    Status status = shard->Finish();
    if (first.ok()) first = std::move(status);
  }
  return first;
}

// What depends on the length of the batch only.
void TrainingStep::LayOut(const data::BatchPlan& batch) {
  if (laid_out_rows_ != batch.batch_rows()) {
    laid_out_rows_ = batch.batch_rows();
    share_ = ShareOf(options_.cut, laid_out_rows_);
    schedule_.clear();
    node_leaves_.clear();
    const std::uint32_t first = options_.cut.leaves().begin;
    const auto end = first + LeafCount(share_.row_end - share_.row_begin, options_.cut.slice_rows);
    for (const TreeNode node : share_.nodes) {
      std::vector<TreeNode> leaves;
      for (std::uint32_t i = node.begin(); i < std::min(node.end(), end); ++i) {
        leaves.push_back({0, i});
      }
      const std::uint32_t offset = node.begin() - first;
      for (const SumStep& sum : SumSchedule(leaves)) {
        schedule_.push_back({sum.into + offset, sum.from + offset});
      }
      node_leaves_.push_back(offset);
    }
  }
  DCN_CHECK_EQ(batch.rows(), share_.row_end - share_.row_begin);
}

}  // namespace dcn::train
