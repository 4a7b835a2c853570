// The training loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "common/status.h"
#include "ps/protocol.h"
#include "worker/train/frozen_batches.h"
#include "worker/train/training_step.h"

namespace dcn::train {

struct LoopOptions {
  std::size_t epochs = 1;
  std::size_t max_steps = 0;  // 0: as many as the epochs have
  float learning_rate = 0.01F;
};

/// What one epoch came to.
struct Epoch {
  double mean_loss = 0;  // mean squared error over its rows, each before its batch's update
  double seconds = 0;
};

/// Where training stands, after a step.
struct Progress {
  ps::Step step = 0;           // steps done
  ps::Step total_steps = 0;    // steps in all
  std::size_t epoch = 0;       // of this step, from 0
  std::size_t rows = 0;        // of this step's batch
  std::size_t total_rows = 0;  // of all steps so far
  double loss = 0;             // mean squared error of this step's batch
  double seconds = 0;          // since training began
};

/// What the epoch under way has come to.
struct OpenEpoch {
  double squared_error = 0;  // over its rows so far
  std::size_t rows = 0;
  double begin_seconds = 0;  // of the training, when it began
};

struct Training {
  std::vector<Epoch> epochs;   // the last one may be cut short
  std::vector<double> losses;  // of each step
  std::size_t rows = 0;        // over all steps
  double seconds = 0;
  OpenEpoch open_epoch;
};

/// Called after each step; false ends training at that step.
using StepObserver = std::function<bool(const Progress&)>;

/// What a run with several ranks or with checkpoints does around its steps.
class StepHooks {
 public:
  virtual ~StepHooks() = default;
  /// The flags of this rank's push of `step`.
  virtual ps::StepFlags BeforeStep(ps::Step step, bool is_last) = 0;
  /// flags: of all ranks, the same on each. False ends training at this step, on every rank alike.
  virtual bool AfterStep(const TrainingStep& step, const Training& so_far, ps::StepFlags flags) = 0;
};

/// Steps that a run of these options takes.
[[nodiscard]] ps::Step TotalSteps(const LoopOptions& options, std::size_t batches);

/// Trains `step` over the batches, epoch after epoch, always in the same order, from the step that
/// it stands at; so_far: what the steps before came to, as StepHooks::AfterStep saw it. hooks: may
/// be null. The last epoch of what is returned is closed, if only cut short.
/// kCancelled: the observer or the hooks ended it. Else the errors of TrainingStep.
[[nodiscard]] Result<Training> Train(const LoopOptions& options, FrozenBatches& batches,
                                     TrainingStep& step, const StepObserver& observer,
                                     StepHooks* hooks = nullptr, Training so_far = {});

}  // namespace dcn::train
