#include "worker/train/trainer.h"

#include <algorithm>
#include <utility>

#include "common/check.h"
#include "common/clock.h"

namespace dcn::train {

ps::Step TotalSteps(const LoopOptions& options, std::size_t batches) {
  const ps::Step steps = options.epochs * batches;
  return options.max_steps == 0 ? steps : std::min<ps::Step>(steps, options.max_steps);
}

namespace {

void CloseEpoch(Training& training) {
  const OpenEpoch& epoch = training.open_epoch;
  training.epochs.push_back({epoch.squared_error / static_cast<double>(epoch.rows),
                             training.seconds - epoch.begin_seconds});
  training.open_epoch = {.squared_error = 0, .rows = 0, .begin_seconds = training.seconds};
}

// Adds a step, which is whole, to what the training came to.
void Account(double squared_error, std::size_t rows, bool ends_epoch, Training& training) {
  training.rows += rows;
  training.losses.push_back(squared_error / static_cast<double>(rows));
  training.open_epoch.squared_error += squared_error;
  training.open_epoch.rows += rows;
  if (ends_epoch) CloseEpoch(training);
}

// What a run comes to that ends here. In its last checkpoint the epoch is open: a longer run may go
// on from there.
Training Ended(Training training) {
  if (training.open_epoch.rows > 0) CloseEpoch(training);
  return training;
}

}  // namespace

Result<Training> Train(const LoopOptions& options, FrozenBatches& batches, TrainingStep& step,
                       const StepObserver& observer, StepHooks* hooks, Training so_far) {
  const ps::Step total = TotalSteps(options, batches.count());
  DCN_CHECK_GE(total, 1U);
  const auto batch_of = [&](ps::Step t) { return (t - 1) % batches.count(); };  // t from 1

  Training training = std::move(so_far);
  const double seconds_before = training.seconds;
  const Stopwatch since_start;
  const ps::Step first = step.step() + 1;
  if (first > total) return Ended(std::move(training));
  training.losses.reserve(std::min(total, first + kReservedSteps));
  training.epochs.reserve(static_cast<std::size_t>(
      std::min<ps::Step>(options.epochs, training.epochs.size() + kReservedSteps)));
  if (first < total) batches.Prepare(batch_of(first + 1));
  DCN_RETURN_IF_ERROR(step.Pull(batches.Get(batch_of(first))));
  for (ps::Step t = first; t <= total; ++t) {
    const data::BatchPlan& batch = batches.Get(batch_of(t));
    const data::BatchPlan* const next = t < total ? &batches.Get(batch_of(t + 1)) : nullptr;
    std::function<void()> plan_ahead;  // null from the second epoch on: a step is faster without
    if (t + 2 <= total && !batches.is_planned(batch_of(t + 2))) {
      plan_ahead = [&batches, ahead = batch_of(t + 2)] { batches.Prepare(ahead); };
    }
    const ps::StepFlags flags = hooks != nullptr ? hooks->BeforeStep(t, t == total) : 0;
    DCN_ASSIGN_OR_RETURN(const double squared_error,
                         step.Run(batch, next, options.learning_rate, plan_ahead, flags));

    training.seconds = seconds_before + since_start.seconds();
    Account(squared_error, batch.batch_rows(), batch_of(t) + 1 == batches.count(), training);
    const Progress progress{.step = t,
                            .total_steps = total,
                            .epoch = (t - 1) / batches.count(),
                            .rows = batch.batch_rows(),
                            .total_rows = training.rows,
                            .loss = training.losses.back(),
                            .seconds = training.seconds};
    const bool is_wanted = !observer || observer(progress);  // it sees the last step, too
    const bool goes_on = hooks == nullptr || hooks->AfterStep(step, training, step.step_flags());
    if (!is_wanted || !goes_on) {
      return Error(StatusCode::kCancelled, "training was stopped after step {} of {}", t, total);
    }
  }
  return Ended(std::move(training));
}

}  // namespace dcn::train
