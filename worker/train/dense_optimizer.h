// The dense parameters (cross, deep and logit) and their optimizer state, in one flat vector each.
//
// Applies the same rules as the embedding tables (ps/table/optimizer), elementwise, so any part of
// the vector may be updated by any thread.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "ps/protocol.h"

namespace dcn::train {

/// All of it, between two steps.
struct DenseState {
  std::vector<float> parameters;
  std::vector<float> first_moments;   // Adam's m; Adagrad's accumulator; empty for SGD
  std::vector<float> second_moments;  // Adam's v; else empty
};

/// Thread safety: Update calls of one step may run side by side on disjoint ranges.
class DenseOptimizer {
 public:
  /// parameters: initial values. With lazy Adam the dense weights, all touched at every step, use
  /// Adam itself.
  DenseOptimizer(const ps::OptimizerOptions& options, std::vector<float> parameters);

  [[nodiscard]] std::span<const float> parameters() const { return state_.parameters; }

  /// Sets all parameters, with a fresh optimizer state.
  void Assign(std::span<const float> parameters);

  [[nodiscard]] const DenseState& state() const { return state_; }
  /// Takes a state of the same optimizer and size from elsewhere; others are refused (false).
  [[nodiscard]] bool Restore(DenseState state);

  /// What the rule multiplies with at step `step` (>= 1): Adam's corrected rate, else the rate.
  [[nodiscard]] float StepSize(ps::Step step, float learning_rate) const;

  /// Applies step `step` (>= 1) to parameters [begin, begin + gradient.size()).
  void Update(ps::Step step, float learning_rate, std::size_t begin,
              std::span<const float> gradient);

 private:
  const ps::OptimizerOptions options_;
  DenseState state_;
};

}  // namespace dcn::train
