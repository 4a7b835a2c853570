// The rates of all steps a table has gone through: what a row needs to replay its missed steps.
//
// Part of the job's state: a row that is read at step t is brought there from its own last step
// with the stored rates, never with recomputed ones.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "ps/protocol.h"
#include "ps/table/optimizer/adam.h"

namespace dcn::ps {

/// Step sizes of dense-form Adam by step, from step 1 on; 4 bytes a step.
/// Thread safety: none.
class RateHistory {
 public:
  explicit RateHistory(const AdamOptions& options) : options_(options) {
    step_sizes_.reserve(kReservedSteps);
  }

  /// The last step whose rate is known; 0 before the first.
  [[nodiscard]] Step last_step() const { return step_sizes_.size(); }

  [[nodiscard]] std::size_t memory_bytes() const { return step_sizes_.capacity() * sizeof(float); }

  /// Enters step last_step() + 1.
  void Append(float learning_rate);

  /// Takes the rates of steps 1 to step_sizes.size() from elsewhere, in place of its own.
  void Restore(std::span<const float> step_sizes);

  /// What a row that stands at step `from` missed up to and including step `to`.
  /// REQUIRES: from <= to <= last_step(). The spans are valid until the next Append.
  [[nodiscard]] MissedSteps Between(Step from, Step to) const {
    return {.step_sizes = {step_sizes_.data() + from, static_cast<std::size_t>(to - from)},
            .shrinking_from = shrinking_from_ > from ? shrinking_from_ - from : 0};
  }

  /// The step size of `step`, in [1, last_step()].
  [[nodiscard]] float step_size(Step step) const { return step_sizes_[step - 1]; }

 private:
  void AppendStepSize(float step_size);

  static constexpr std::size_t kReservedSteps = 4096;  // no allocation in a short job's steps

  AdamOptions options_;
  std::vector<float> step_sizes_;   // of step i + 1
  std::size_t shrinking_from_ = 0;  // index: all later steps have been shrinking ones
};

}  // namespace dcn::ps
