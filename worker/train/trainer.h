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
  ps::Step step = 0;         // steps done
  ps::Step total_steps = 0;  // steps in all
  std::size_t epoch = 0;     // of this step, from 0
  std::size_t rows = 0;      // of this step's batch
  double loss = 0;           // mean squared error of this step's batch
  double seconds = 0;        // since training began
};

struct Training {
  std::vector<Epoch> epochs;   // the last one may be cut short
  std::vector<double> losses;  // of each step
  std::size_t rows = 0;        // over all steps
  double seconds = 0;
};

/// Called after each step; false ends training at that step.
using StepObserver = std::function<bool(const Progress&)>;

/// Steps that a run of these options takes.
[[nodiscard]] ps::Step TotalSteps(const LoopOptions& options, std::size_t batches);

/// Trains `step` over the batches, epoch after epoch, always in the same order.
/// kCancelled: the observer ended it. Else the errors of TrainingStep.
[[nodiscard]] Result<Training> Train(const LoopOptions& options, FrozenBatches& batches,
                                     TrainingStep& step, const StepObserver& observer);

}  // namespace dcn::train
