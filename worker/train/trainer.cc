#include "worker/train/trainer.h"

#include <algorithm>

#include "common/check.h"
#include "common/clock.h"

namespace dcn::train {

ps::Step TotalSteps(const LoopOptions& options, std::size_t batches) {
  const ps::Step steps = options.epochs * batches;
  return options.max_steps == 0 ? steps : std::min<ps::Step>(steps, options.max_steps);
}

Result<Training> Train(const LoopOptions& options, FrozenBatches& batches, TrainingStep& step,
                       const StepObserver& observer) {
  const ps::Step total = TotalSteps(options, batches.count());
  DCN_CHECK_GE(total, 1U);
  const auto batch_of = [&](ps::Step t) { return (t - 1) % batches.count(); };  // t from 1

  Training training;
  const Stopwatch since_start;
  double epoch_begin = 0;
  double epoch_error = 0;
  std::size_t epoch_rows = 0;
  if (total >= 2) batches.Prepare(batch_of(2));
  DCN_RETURN_IF_ERROR(step.Pull(batches.Get(batch_of(1))));
  for (ps::Step t = 1; t <= total; ++t) {
    const data::BatchPlan& batch = batches.Get(batch_of(t));
    const data::BatchPlan* const next = t < total ? &batches.Get(batch_of(t + 1)) : nullptr;
    const auto plan_ahead = [&] {
      if (t + 2 <= total) batches.Prepare(batch_of(t + 2));
    };
    DCN_ASSIGN_OR_RETURN(const double squared_error,
                         step.Run(batch, next, options.learning_rate, plan_ahead));

    training.rows += batch.batch_rows();
    training.losses.push_back(squared_error / static_cast<double>(batch.batch_rows()));
    training.seconds = since_start.seconds();
    epoch_error += squared_error;
    epoch_rows += batch.batch_rows();
    if (batch_of(t) + 1 == batches.count() || t == total) {
      training.epochs.push_back(
          {epoch_error / static_cast<double>(epoch_rows), training.seconds - epoch_begin});
      epoch_begin = training.seconds;
      epoch_error = 0;
      epoch_rows = 0;
    }
    const Progress progress{.step = t,
                            .total_steps = total,
                            .epoch = (t - 1) / batches.count(),
                            .rows = batch.batch_rows(),
                            .loss = training.losses.back(),
                            .seconds = training.seconds};
    if (observer && !observer(progress)) {
      return Error(StatusCode::kCancelled, "training was stopped after step {} of {}", t, total);
    }
  }
  return training;
}

}  // namespace dcn::train
