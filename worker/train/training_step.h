// One training step and one prediction, on this process' threads: the tree of slices, the tables
// behind their shards, the dense parameters.
//
// Threads and shards decide who computes what, never what is computed: a step's result depends on
// the batch, slice_rows and the parameters only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "common/aligned_floats.h"
#include "common/reduction_tree.h"
#include "common/status.h"
#include "common/thread_pool.h"
#include "ps/shard_client.h"
#include "worker/data/batch_plan.h"
#include "worker/model/dense_model.h"
#include "worker/model/model_spec.h"
#include "worker/train/dense_optimizer.h"
#include "worker/train/row_gradients.h"

namespace dcn::train {

using Shards = std::vector<std::unique_ptr<ps::ShardClient>>;

/// Tables of a model, one a feature in feature order, as the shards create them.
std::vector<ps::TableDefinition> TableDefinitions(const model::ModelSpec& spec, std::uint64_t seed,
                                                  const ps::OptimizerOptions& optimizer);

/// The same tables as batches are planned for.
data::TableLayout MakeTableLayout(const model::ModelSpec& spec, std::uint32_t shard_count);

struct StepOptions {
  std::size_t batch_rows = 8192;  // rows of a full batch; others may be shorter
  std::size_t slice_rows = 512;   // rows of a leaf; part of the result
  ps::OptimizerOptions optimizer = ps::AdamOptions{};
};

/// Thread safety: one call at a time, from one thread; it uses the pool's threads.
class TrainingStep {
 public:
  /// model, shards and pool must outlive this; the shards have the tables of TableDefinitions.
  /// dense: first values of the dense parameters.
  TrainingStep(const model::ModelSpec& spec, const StepOptions& options, std::vector<float> dense,
               model::DenseModel& model, Shards& shards, ThreadPool& pool);

  /// Steps taken so far.
  [[nodiscard]] ps::Step step() const { return step_; }

  /// Dense parameters, in model order.
  [[nodiscard]] std::span<const float> dense_parameters() const { return dense_.parameters(); }

  /// Sets the dense parameters, with a fresh optimizer state.
  void AssignDense(std::span<const float> parameters);

  /// Reads the rows of the first batch. Errors: those of ShardClient::Finish.
  [[nodiscard]] Status Pull(const data::BatchPlan& batch);

  /// Takes one step on the batch whose rows were pulled last, and pulls the rows of `next` (may be
  /// null: nothing is pulled). `beside`, if set, is run once by one of the threads meanwhile.
  /// Returns the sum of squared errors over the batch, before the update.
  [[nodiscard]] Result<double> Run(const data::BatchPlan& batch, const data::BatchPlan* next,
                                   float learning_rate,
                                   const std::function<void()>& beside = nullptr);

  /// Predictions of the last Run's batch, in batch order.
  [[nodiscard]] std::span<const float> predictions() const { return predictions_; }

  /// Pulls the batch's rows and predicts: predictions[i] for batch row i. squared_errors[s]
  /// receives the sum over slice s. May stand between two Runs: the rows pulled for the next stay.
  [[nodiscard]] Status Predict(const data::BatchPlan& batch, std::span<float> predictions,
                               std::span<double> squared_errors);

 private:
  struct ThreadState {
    ThreadState(std::size_t slice_floats, std::size_t slice_rows, std::size_t max_dimension)
        : x0(slice_floats), row_gradients(slice_rows, max_dimension) {}
    AlignedFloats x0;  // one slice's concatenated embeddings
    RowGradientSummer row_gradients;
  };

  [[nodiscard]] std::size_t LeafRows(const data::BatchPlan& batch, std::size_t leaf) const;
  std::span<const float> GatherSlice(int thread, const data::BatchPlan& batch, std::size_t leaf,
                                     const float* values);
  void ComputeSlice(int thread, const data::BatchPlan& batch, std::size_t leaf);
  void SumRowGradients(int thread, const data::BatchPlan& batch, const data::EntryRange& range);
  void PreparePush(const data::BatchPlan& batch);
  void PreparePull(const data::BatchPlan* batch, AlignedFloats& values);
  void PushPullAndUpdate(float learning_rate);
  void UpdateDense(std::size_t range, float learning_rate);
  Status FinishShards();
  double SumLeafErrors(std::size_t leaves);

  const std::vector<std::uint32_t> dimensions_;
  const std::size_t width_;
  const StepOptions options_;
  model::DenseModel& model_;
  Shards& shards_;
  ThreadPool& pool_;
  DenseOptimizer dense_;
  ps::Step step_ = 0;

  std::vector<std::unique_ptr<ThreadState>> threads_;
  AlignedFloats pulled_;             // values of the current batch's entries
  AlignedFloats other_;              // the same of the next batch, or of a batch to predict
  AlignedFloats pushed_;             // summed gradients of the current batch's entries
  AlignedFloats x0_gradients_;       // [batch_rows, width]
  AlignedFloats leaf_gradients_;     // [leaves, leaf_stride_]: dense parameters, padded
  std::size_t leaf_stride_;          // floats
  std::vector<float> predictions_;   // [rows of the last batch]
  std::vector<double> leaf_errors_;  // [leaves]
  std::vector<SumStep> schedule_;    // of the current batch's leaves

  std::vector<std::vector<ps::RowsToPull>> pulls_;        // by shard
  std::vector<std::vector<ps::RowGradients>> gradients_;  // by shard
  std::vector<std::uint16_t> nodes_;                      // of every entry: the root, number 0
  TreeNode root_;                                         // the node that this rank emits
};

}  // namespace dcn::train
