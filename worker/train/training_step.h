// One training step and one prediction of one rank, on this process' threads: the tree of slices,
// the tables behind their shards, the dense parameters.
//
// Threads, ranks and shards decide who computes what, never what is computed: a step's result
// depends on the batch, slice_rows and the parameters only. A rank computes the slices of its part
// of the batch; rows' gradients meet in the shards, dense gradients in the reduction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <variant>
#include <vector>

#include "common/aligned_floats.h"
#include "common/reduction_tree.h"
#include "common/status.h"
#include "common/thread_pool.h"
#include "common/trace.h"
#include "ps/shard_client.h"
#include "worker/communicator/communicator.h"
#include "worker/communicator/dense_reduction.h"
#include "worker/communicator/ordered_reduction.h"
#include "worker/data/batch_plan.h"
#include "worker/model/bfloat16.h"
#include "worker/model/dense_model.h"
#include "worker/model/model_spec.h"
#include "worker/train/dense_optimizer.h"
#include "worker/train/rank_share.h"
#include "worker/train/row_gradients.h"

namespace dcn::train {

using Shards = std::vector<std::unique_ptr<ps::ShardClient>>;

/// Tables of a model, one a feature in feature order, as the shards create them.
std::vector<ps::TableDefinition> TableDefinitions(const model::ModelSpec& spec, std::uint64_t seed,
                                                  const ps::OptimizerOptions& optimizer);

/// The same tables as batches are planned for.
data::TableLayout MakeTableLayout(const model::ModelSpec& spec, std::uint32_t shard_count);

/// Steps for which a run has room, for its rates and losses, before the first of them.
inline constexpr std::size_t kReservedSteps = 4096;

struct StepOptions {
  BatchCut cut;  // of the batches that will come
  ps::OptimizerOptions optimizer = ps::AdamOptions{};
  /// Of the dense gradients, over ranks; outlives the step. Null: in the tree's order over the
  /// communicator.
  comm::DenseReduction* reduction = nullptr;
  Trace* trace = nullptr;  // lanes: the pool's threads, then the shards; may be null
};

/// Thread safety: one call at a time, from one thread; it uses the pool's threads.
class TrainingStep {
 public:
  /// communicator, model, shards and pool must outlive this; the shards have the tables of
  /// TableDefinitions. dense: first values of the dense parameters, the same on all ranks.
  TrainingStep(const model::ModelSpec& spec, const StepOptions& options, std::vector<float> dense,
               model::DenseModel& model, Shards& shards, comm::Communicator& communicator,
               ThreadPool& pool);

  /// Steps taken so far.
  [[nodiscard]] ps::Step step() const { return step_; }

  /// Dense parameters, in model order.
  [[nodiscard]] std::span<const float> dense_parameters() const { return dense_.parameters(); }

  /// Sets the dense parameters, with a fresh optimizer state.
  void AssignDense(std::span<const float> parameters);

  /// The whole state of the dense parameters.
  [[nodiscard]] const DenseState& dense_state() const { return dense_.state(); }
  /// DenseOptimizer::StepSize of all steps so far: with the rows' last steps, what they missed.
  [[nodiscard]] std::span<const float> step_sizes() const { return step_sizes_; }
  /// Goes on after step step_sizes.size(), in a run that has taken none. False: a state of another
  /// size or optimizer.
  [[nodiscard]] bool Restore(DenseState dense, std::vector<float> step_sizes);

  /// Reads the rows of the first batch. Errors: those of ShardClient::Finish.
  [[nodiscard]] Status Pull(const data::BatchPlan& batch);

  /// Takes one step on the batch whose rows were pulled last, and pulls the rows of `next` (may be
  /// null: nothing is pulled). `beside`, if set, is run once by one of the threads meanwhile.
  /// flags: this rank's wishes for the step.
  /// Returns the sum of squared errors over the whole batch, before the update, on every rank.
  /// Errors: those of ShardClient::Finish and DenseReduction::Run.
  [[nodiscard]] Result<double> Run(const data::BatchPlan& batch, const data::BatchPlan* next,
                                   float learning_rate,
                                   const std::function<void()>& beside = nullptr,
                                   ps::StepFlags flags = 0);

  /// The wishes of all ranks for the last step that was run, the same on every rank.
  [[nodiscard]] ps::StepFlags step_flags() const { return shards_.front()->step_flags(); }

  /// Predictions of the last Run's plan, in its order.
  [[nodiscard]] std::span<const float> predictions() const { return predictions_; }

  /// Pulls the plan's rows and predicts: predictions[i] for plan row i. squared_errors[s]
  /// receives the sum over slice s. May stand between two Runs: the rows pulled for the next stay.
  [[nodiscard]] Status Predict(const data::BatchPlan& batch, std::span<float> predictions,
                               std::span<double> squared_errors);

 private:
  // What the model reads and writes of rows, in its precision.
  template <typename Element>
  struct ModelRows {
    std::vector<AlignedBlock<Element>> x0;  // by thread: one slice's concatenated embeddings
    AlignedBlock<Element> x0_gradients;     // [rows of this rank, width]
  };

  [[nodiscard]] std::size_t LeafRows(const data::BatchPlan& batch, std::size_t leaf) const;
  template <typename Element>
  void MakeModelRows();
  model::Rows GatherSlice(int thread, const data::BatchPlan& batch, std::size_t leaf,
                          const float* values);
  template <typename Element>
  void GatherRows(const data::BatchPlan& batch, std::size_t begin, std::size_t end,
                  const float* values, Element* x0) const;
  void ComputeUnit(int thread, const data::BatchPlan& batch, const LeafRange& unit);
  void ComputeSlice(int thread, const data::BatchPlan& batch, std::size_t leaf,
                    std::size_t dense_leaf);
  // Who sums what in a batch of some length.
  struct Layout {
    std::size_t batch_rows = 0;
    bool may_pair = true;  // see units
    RankShare share;
    std::vector<SumStep> schedule;         // sums this rank's leaves to its nodes
    std::vector<std::size_t> node_leaves;  // by node: the leaf that receives its sum
    // Leaves that one thread computes one after the other. Where there are two they are siblings,
    // and the second's dense gradient is added to the first's, so that there are half as many.
    std::vector<LeafRange> units;
    std::vector<SumStep> dense_schedule;  // what is left of the schedule for dense gradients
  };
  [[nodiscard]] Layout MakeLayout(std::size_t batch_rows, bool may_pair) const;
  // Without pairs threads share the work more evenly, where one has more to do than leaves.
  void LayOut(const data::BatchPlan& batch, bool may_pair);
  void SumRowGradients(int thread, const data::BatchPlan& batch, const data::PushRange& range);
  template <typename Element>
  void SumRowGradients(const data::BatchPlan& batch, const data::PushRange& range,
                       const Element* x0_gradients, RowGradientSummer& summer);
  void PreparePush(const data::BatchPlan& batch);
  void PreparePull(const data::BatchPlan* batch, AlignedFloats& values);
  void StartPushPull(int thread, std::size_t shard, float learning_rate);
  double PushPullAndUpdateAlone(float learning_rate);
  Result<double> PushPullAndUpdate(std::size_t batch_rows, float learning_rate);
  void SumLeaves(std::size_t begin, std::size_t count);
  Status FinishShards();
  void TraceRequests();
  [[nodiscard]] TraceSpan Span(int thread, const char* name) const;

  const std::vector<std::uint32_t> dimensions_;
  const std::size_t width_;
  const StepOptions options_;
  model::DenseModel& model_;
  Shards& shards_;
  comm::Communicator& communicator_;
  ThreadPool& pool_;
  DenseOptimizer dense_;
  comm::OrderedReduction ordered_reduction_;  // unless the options bring another
  comm::DenseReduction& reduction_;           // of the dense gradients, over ranks
  ps::Step step_ = 0;
  ps::StepFlags flags_ = 0;        // of this rank's push
  std::vector<float> step_sizes_;  // by step, from 1

  std::variant<ModelRows<float>, ModelRows<model::Bfloat16>> model_rows_;
  std::vector<RowGradientSummer> row_gradients_;  // by thread
  AlignedFloats pulled_;                          // values of the current plan's entries
  AlignedFloats other_;                           // the same of the next plan, or of one to predict
  AlignedFloats pushed_;                          // summed gradients of the current plan's pushes
  // [leaves of this rank, leaf_stride_]: dense, padded; that of a unit's second leaf is unused
  AlignedFloats leaf_gradients_;
  std::size_t leaf_stride_;          // floats
  AlignedFloats dense_gradient_;     // over all ranks, where there are several
  std::vector<float> predictions_;   // [rows of the last plan]
  std::vector<double> leaf_errors_;  // [leaves of this rank]
  std::vector<double> node_errors_;  // [nodes of this rank]

  // Of all lengths so far (full batches, and a short last one), with and without pairs.
  std::deque<Layout> layouts_;
  const Layout* layout_ = nullptr;  // of the current batch

  std::vector<std::vector<ps::RowsToPull>> pulls_;        // by shard
  std::vector<std::vector<ps::RowGradients>> gradients_;  // by shard
  std::vector<TraceEvent> requests_;                      // by shard: of the trace
};

}  // namespace dcn::train
