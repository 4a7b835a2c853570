#include "worker/train/training_step.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "common/check.h"
#include "common/lanes.h"

namespace dcn::train {
namespace {

// Dense parameters that one thread sums and updates at a time: with all leaves' parts of it, less
// than a core's second-level cache.
constexpr std::size_t kDenseRange = 2048;

// Leaves are computed in pairs where there are so many for each thread.
constexpr std::uint32_t kLeavesToPair = 4;

// Rows of tables and of gradients are read from all over a batch: they are fetched before, so many
// ratings, or occurrences of a row in ratings, ahead.
constexpr std::size_t kRatingsAhead = 8;
constexpr std::ptrdiff_t kOccurrencesAhead = 16;

template <typename Element>
void PrefetchRow(const Element* row, std::size_t dimension) {
  constexpr std::size_t kLine = kCacheLineBytes / sizeof(Element);
  for (std::size_t i = 0; i < dimension; i += kLine) __builtin_prefetch(row + i);
  __builtin_prefetch(row + dimension - 1);  // it need not start with a line
}

template <typename Element>
void CopyRow(const float* from, std::uint32_t dimension, Element* to) {
  ForLanes(dimension, [&](std::size_t i, auto count) {
    model::StoreLanes(model::LoadLanes(from + i, count), to + i, count);
  });
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
      ordered_reduction_(communicator, pool, options.cut.full_leaves(), spec.dense_size()),
      reduction_(options.reduction != nullptr ? *options.reduction : ordered_reduction_),
      leaf_stride_((spec.dense_size() + 15) / 16 * 16),
      pulls_(shards.size()),
      gradients_(shards.size()),
      requests_(shards.size()) {
  DCN_CHECK_EQ(dense_.parameters().size(), spec.dense_size());
  DCN_CHECK_EQ(static_cast<int>(options.cut.rank), communicator.rank());
  DCN_CHECK_EQ(static_cast<int>(options.cut.ranks), communicator.size());
  const std::size_t leaves = options.cut.leaves().size();
  if (model.row_precision() == model::Precision::kBf16) {
    MakeModelRows<model::Bfloat16>();
  } else {
    MakeModelRows<float>();
  }
  leaf_gradients_.EnsureSize(leaves * leaf_stride_);
  if (options.cut.ranks > 1) dense_gradient_.EnsureSize(spec.dense_size());
  for (int thread = 0; thread < pool.thread_count(); ++thread) {
    row_gradients_.emplace_back(options.cut.slice_rows, options.cut.leaves().begin);
  }
  step_sizes_.reserve(kReservedSteps);
  model_.SetParameters(dense_.parameters(), pool_);
}

template <typename Element>
void TrainingStep::MakeModelRows() {
  const BatchCut& cut = options_.cut;
  ModelRows<Element>& rows = model_rows_.emplace<ModelRows<Element>>();
  for (int thread = 0; thread < pool_.thread_count(); ++thread) {
    rows.x0.emplace_back(cut.slice_rows * width_);
  }
  const std::size_t own_rows = std::min(cut.batch_rows, cut.leaves().size() * cut.slice_rows);
  rows.x0_gradients.EnsureSize(own_rows * width_);
}

void TrainingStep::AssignDense(std::span<const float> parameters) {
  dense_.Assign(parameters);
  model_.SetParameters(dense_.parameters(), pool_);
}

bool TrainingStep::Restore(DenseState dense, std::vector<float> step_sizes) {
  DCN_CHECK_EQ(step_, ps::Step{0});
  if (!dense_.Restore(std::move(dense))) return false;
  step_ = step_sizes.size();
  step_sizes_ = std::move(step_sizes);
  step_sizes_.reserve(step_sizes_.size() + kReservedSteps);
  model_.SetParameters(dense_.parameters(), pool_);
  return true;
}

Status TrainingStep::Pull(const data::BatchPlan& batch) {
  PreparePull(&batch, pulled_);
  pool_.ParallelFor(shards_.size(),
                    [this](int, std::size_t s) { shards_[s]->StartPull(pulls_[s]); });
  return FinishShards();
}

Result<double> TrainingStep::Run(const data::BatchPlan& batch, const data::BatchPlan* next,
                                 float learning_rate, const std::function<void()>& beside,
                                 ps::StepFlags flags) {
  LayOut(batch, !beside);
  ++step_;
  flags_ = flags;
  step_sizes_.push_back(dense_.StepSize(step_, learning_rate));
  const TraceSpan whole = Span(0, "step");
  predictions_.resize(batch.rows());
  const std::size_t leaves = LeafCount(batch.rows(), options_.cut.slice_rows);
  leaf_errors_.resize(leaves);

  const std::size_t others = beside ? 1 : 0;
  pool_.ParallelFor(layout_->units.size() + others, [&](int thread, std::size_t i) {
    if (i >= others) return ComputeUnit(thread, batch, layout_->units[i - others]);
    const TraceSpan span = Span(thread, "plan");
    beside();
  });

  pushed_.EnsureSize(batch.push_value_count());
  pool_.ParallelFor(batch.work().size(), [&](int thread, std::size_t i) {
    const TraceSpan span = Span(thread, "row gradients");
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
  {
    const TraceSpan span = Span(0, "set parameters");
    model_.SetParameters(dense_.parameters(), pool_);
  }
  {
    const TraceSpan span = Span(0, "wait for shards");
    DCN_RETURN_IF_ERROR(FinishShards());
  }
  if (options_.trace != nullptr) TraceRequests();
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
    const model::Rows x0 = GatherSlice(thread, batch, leaf, other_.get());
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

template <typename Element>
void TrainingStep::GatherRows(const data::BatchPlan& batch, std::size_t begin, std::size_t end,
                              const float* values, Element* x0) const {
  for (std::size_t row = begin; row < end; ++row) {
    if (row + kRatingsAhead < end) {
      const auto ahead = batch.value_offsets(row + kRatingsAhead);
      for (std::size_t f = 0; f < ahead.size(); ++f) PrefetchRow(values + ahead[f], dimensions_[f]);
    }
    const auto offsets = batch.value_offsets(row);
    for (std::size_t f = 0; f < offsets.size(); ++f) {
      CopyRow(values + offsets[f], dimensions_[f], x0);
      x0 += dimensions_[f];
    }
  }
}

// x0 of one slice: its rows' embeddings side by side, in the thread's own buffer.
model::Rows TrainingStep::GatherSlice(int thread, const data::BatchPlan& batch, std::size_t leaf,
                                      const float* values) {
  const std::size_t begin = leaf * options_.cut.slice_rows;
  const std::size_t rows = LeafRows(batch, leaf);
  return std::visit(
      [&](auto& model_rows) -> model::Rows {
        const auto& x0 = model_rows.x0[static_cast<std::size_t>(thread)];
        GatherRows(batch, begin, begin + rows, values, x0.get());
        return x0.span().first(rows * width_);
      },
      model_rows_);
}

void TrainingStep::ComputeUnit(int thread, const data::BatchPlan& batch, const LeafRange& unit) {
  for (std::uint32_t leaf = unit.begin; leaf < unit.end; ++leaf) {
    const TraceSpan span = Span(thread, "slice");
    ComputeSlice(thread, batch, leaf, unit.begin);
  }
}

// dense_leaf: whose dense gradient receives this leaf's, the leaf itself or one computed before.
void TrainingStep::ComputeSlice(int thread, const data::BatchPlan& batch, std::size_t leaf,
                                std::size_t dense_leaf) {
  const std::size_t begin = leaf * options_.cut.slice_rows;
  const std::size_t rows = LeafRows(batch, leaf);
  const model::TrainingSlice slice{.x0 = GatherSlice(thread, batch, leaf, pulled_.get()),
                                   .labels = batch.labels().subspan(begin, rows),
                                   .gradient_scale = 2.0F / static_cast<float>(batch.batch_rows())};
  model::SliceGradient out{
      .predictions = std::span(predictions_).subspan(begin, rows),
      .dense_gradient =
          leaf_gradients_.span().subspan(dense_leaf * leaf_stride_, dense_.parameters().size()),
      .x0_gradient = std::visit(
          [&](auto& model_rows) -> model::MutableRows {
            return model_rows.x0_gradients.span().subspan(begin * width_, rows * width_);
          },
          model_rows_),
      .adds_dense_gradient = dense_leaf != leaf};
  model_.ForwardBackward(thread, slice, out);
  leaf_errors_[leaf] = out.squared_error;
}

template <typename Element>
void TrainingStep::SumRowGradients(const data::BatchPlan& batch, const data::PushRange& range,
                                   const Element* x0_gradients, RowGradientSummer& summer) {
  const data::Segment& segment = batch.segments()[range.segment];
  const std::size_t dimension = dimensions_[segment.table];
  std::size_t column = 0;  // of the feature in x0
  for (std::size_t f = 0; f < segment.table; ++f) column += dimensions_[f];
  const Element* const gradients = x0_gradients + column;
  // The pushes' occurrences lie one behind the other.
  const std::uint32_t* fetched = batch.push_occurrences(range.begin).data();
  const std::span<const std::uint32_t> last_push = batch.push_occurrences(range.end - 1);
  const std::uint32_t* const last = last_push.data() + last_push.size();
  for (std::size_t push = range.begin; push < range.end; ++push) {
    const std::span<const std::uint32_t> occurrences = batch.push_occurrences(push);
    const std::uint32_t* const behind = occurrences.data() + occurrences.size();
    fetched = std::max(fetched, behind);
    for (; fetched < last && fetched < behind + kOccurrencesAhead; ++fetched) {
      PrefetchRow(gradients + *fetched * width_, dimension);
    }
    const std::size_t offset = segment.push_offset + (push - segment.first_push) * dimension;
    summer.Sum(occurrences, gradients, width_, pushed_.span().subspan(offset, dimension));
  }
}

void TrainingStep::SumRowGradients(int thread, const data::BatchPlan& batch,
                                   const data::PushRange& range) {
  RowGradientSummer& summer = row_gradients_[static_cast<std::size_t>(thread)];
  std::visit([&](auto& rows) { SumRowGradients(batch, range, rows.x0_gradients.get(), summer); },
             model_rows_);
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

TraceSpan TrainingStep::Span(int thread, const char* name) const {
  return TraceSpan(options_.trace, static_cast<std::size_t>(thread), name, step_);
}

// The shards' requests, from when they were started to when their answers were there.
void TrainingStep::TraceRequests() {
  for (std::size_t s = 0; s < shards_.size(); ++s) {
    const TraceEvent::TimePoint answered = shards_[s]->answered_at();
    if (answered != TraceEvent::TimePoint()) requests_[s].end = answered;
    options_.trace->Add(static_cast<std::size_t>(pool_.thread_count()) + s, requests_[s]);
  }
}

void TrainingStep::StartPushPull(int thread, std::size_t shard, float learning_rate) {
  const TraceSpan span = Span(thread, "start push-pull");
  if (options_.trace != nullptr) {
    requests_[shard] = {
        .name = "push-pull", .step = step_, .begin = std::chrono::steady_clock::now(), .end = {}};
  }
  shards_[shard]->StartPushPull({.rank = options_.cut.rank,
                                 .step = step_,
                                 .learning_rate = learning_rate,
                                 .nodes = layout_->share.nodes,
                                 .gradients = gradients_[shard],
                                 .flags = flags_},
                                pulls_[shard]);
  if (options_.trace != nullptr) requests_[shard].end = std::chrono::steady_clock::now();
}

// The shards' requests first: a remote shard works while this process updates its dense weights.
// Returns the batch's squared error.
double TrainingStep::PushPullAndUpdateAlone(float learning_rate) {
  const std::size_t count = dense_.parameters().size();
  const std::size_t ranges = (count + kDenseRange - 1) / kDenseRange;
  pool_.ParallelFor(shards_.size() + ranges, [&](int thread, std::size_t i) {
    if (i < shards_.size()) return StartPushPull(thread, i, learning_rate);
    const TraceSpan span = Span(thread, "dense update");
    const std::size_t begin = (i - shards_.size()) * kDenseRange;
    const std::size_t size = std::min(kDenseRange, count - begin);
    SumLeaves(begin, size);
    dense_.Update(step_, learning_rate, begin, leaf_gradients_.span().subspan(begin, size));
  });
  for (const SumStep& sum : layout_->schedule) leaf_errors_[sum.into] += leaf_errors_[sum.from];
  return leaf_errors_[0];
}

// The same where other ranks have parts of the gradient: the reduction runs while the shards work.
Result<double> TrainingStep::PushPullAndUpdate(std::size_t batch_rows, float learning_rate) {
  pool_.ParallelFor(shards_.size(),
                    [&](int thread, std::size_t s) { StartPushPull(thread, s, learning_rate); });

  for (const SumStep& sum : layout_->schedule) leaf_errors_[sum.into] += leaf_errors_[sum.from];
  node_errors_.clear();
  for (const std::size_t leaf : layout_->node_leaves) node_errors_.push_back(leaf_errors_[leaf]);
  const auto node_values = [&](std::size_t begin, std::size_t size, std::span<float* const> out) {
    SumLeaves(begin, size);
    for (std::size_t k = 0; k < out.size(); ++k) {
      std::copy_n(leaf_gradients_.get() + layout_->node_leaves[k] * leaf_stride_ + begin, size,
                  out[k]);
    }
  };
  const std::size_t count = dense_.parameters().size();
  const std::span<float> gradient = dense_gradient_.span().first(count);
  double squared_error = 0;
  fmt::memory_buffer what;  // in place: a string would take memory in every step
  fmt::format_to(std::back_inserter(what), "dense gradients of step {}", step_);
  {
    const TraceSpan span = Span(0, "dense combination");
    DCN_ASSIGN_OR_RETURN(squared_error,
                         reduction_.Run(LeafCount(batch_rows, options_.cut.slice_rows), node_values,
                                        node_errors_, gradient, {what.data(), what.size()}));
  }
  pool_.ParallelFor((count + kDenseRange - 1) / kDenseRange, [&](int thread, std::size_t range) {
    const TraceSpan span = Span(thread, "dense update");
    const std::size_t begin = range * kDenseRange;
    dense_.Update(step_, learning_rate, begin,
                  gradient.subspan(begin, std::min(kDenseRange, count - begin)));
  });
  return squared_error;
}

// Sums dense gradients [begin, begin + count) of this rank's leaves to its nodes, in place.
void TrainingStep::SumLeaves(std::size_t begin, std::size_t count) {
  for (const SumStep& sum : layout_->dense_schedule) {
    AddFloats(count, leaf_gradients_.get() + sum.from * leaf_stride_ + begin,
              leaf_gradients_.get() + sum.into * leaf_stride_ + begin);
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

TrainingStep::Layout TrainingStep::MakeLayout(std::size_t batch_rows, bool may_pair) const {
  Layout layout = {.batch_rows = batch_rows,
                   .may_pair = may_pair,
                   .share = ShareOf(options_.cut, batch_rows),
                   .schedule = {},
                   .node_leaves = {},
                   .units = {},
                   .dense_schedule = {}};
  const std::uint32_t first = options_.cut.leaves().begin;
  const auto end =
      first + LeafCount(layout.share.row_end - layout.share.row_begin, options_.cut.slice_rows);
  for (const TreeNode node : layout.share.nodes) {
    std::vector<TreeNode> leaves;
    for (std::uint32_t i = node.begin(); i < std::min(node.end(), end); ++i) {
      leaves.push_back({0, i});
    }
    const std::uint32_t offset = node.begin() - first;
    for (const SumStep& sum : SumSchedule(leaves)) {
      layout.schedule.push_back({sum.into + offset, sum.from + offset});
    }
    layout.node_leaves.push_back(offset);
  }
  // Few leaves are not paired, so that every thread has some.
  const bool has_pairs =
      may_pair && end - first >= kLeavesToPair * static_cast<std::uint32_t>(pool_.thread_count());
  for (std::uint32_t leaf = first; leaf < end;) {
    const std::uint32_t size = has_pairs && leaf % 2 == 0 && leaf + 1 < end ? 2 : 1;
    layout.units.push_back({leaf - first, leaf - first + size});
    leaf += size;
  }
  const auto is_left = [&](const SumStep& sum) {
    const LeafRange both{sum.into, sum.from + 1};
    return std::ranges::find(layout.units, both) == layout.units.end();
  };
  std::ranges::copy_if(layout.schedule, std::back_inserter(layout.dense_schedule), is_left);
  return layout;
}

void TrainingStep::LayOut(const data::BatchPlan& batch, bool may_pair) {
  const auto known = std::ranges::find_if(layouts_, [&](const Layout& layout) {
    return layout.batch_rows == batch.batch_rows() && layout.may_pair == may_pair;
  });
  layout_ = known != layouts_.end()
                ? &*known
                : &layouts_.emplace_back(MakeLayout(batch.batch_rows(), may_pair));
  DCN_CHECK_EQ(batch.rows(), layout_->share.row_end - layout_->share.row_begin);
}

}  // namespace dcn::train
