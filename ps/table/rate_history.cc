#include "ps/table/rate_history.h"

namespace dcn::ps {

void RateHistory::Append(float learning_rate) {
  const Step step = last_step() + 1;
  AppendStepSize(AdamStepSize(learning_rate, options_.beta_1, options_.beta_2, step));
}

void RateHistory::Restore(std::span<const float> step_sizes) {
  step_sizes_.clear();
  shrinking_from_ = 0;
  for (const float step_size : step_sizes) AppendStepSize(step_size);
}

void RateHistory::AppendStepSize(float step_size) {
  if (!step_sizes_.empty() && !IsShrinkingStep(options_, step_sizes_.back(), step_size)) {
    shrinking_from_ = step_sizes_.size();
  }
  step_sizes_.push_back(step_size);
}

}  // namespace dcn::ps
