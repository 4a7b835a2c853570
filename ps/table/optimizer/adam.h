// Adam in Keras' form, for embedding rows and dense weights alike; pure functions over spans.
//
//   m <- b1 m + (1 - b1) g        v <- b2 v + (1 - b2) g^2        w <- w - s m / (sqrt(v) + eps)
//
// with s = lr sqrt(1 - b2^t) / (1 - b1^t), one stored float a step. A step without a gradient is
// the same code with g = 0, so a row that replays its missed steps one by one has the bits of a row
// that was swept at every step. Every operation is rounded by itself, in this order:
//
//   m = fl(fl(b1 m) + fl(fl(1 - b1) g))
//   v = fl(fl(b2 v) + fl(fl(1 - b2) fl(g g)))
//   w = fl(w - fl(fl(s m) / fl(fl(sqrt(v)) + eps)))
//
// Kingma & Ba, arXiv:1412.6980, the efficient form at the end of section 2. Callers have denormals
// flushed to zero (common/floating_point.h).
#pragma once

#include <cstddef>
#include <span>

#include "ps/protocol.h"

namespace dcn::ps {

/// One step's constants.
struct AdamCoefficients {
  float beta_1 = 0.9F;
  float beta_2 = 0.999F;
  float epsilon = 1e-7F;
  float step_size = 0;  // of AdamStepSize
};

/// The rate of step `step` (>= 1) with the bias correction in it,
/// lr sqrt(1 - b2^t) / (1 - b1^t): computed in double, rounded once. The one function for it.
[[nodiscard]] float AdamStepSize(float learning_rate, float beta_1, float beta_2, Step step);

/// One step with gradient g. All spans have one size and do not overlap.
void AdamUpdate(const AdamCoefficients& coefficients, std::span<float> w, std::span<float> m,
                std::span<float> v, std::span<const float> g);

/// One step without a gradient: the bits of AdamUpdate with g = 0.
void AdamUpdate(const AdamCoefficients& coefficients, std::span<float> w, std::span<float> m,
                std::span<float> v);

/// Whether going from one step's rate to the next leaves |w's change| shrinking while there is no
/// gradient: m shrinks by b1 a step, the denominator by at most sqrt(b2), the rate by the ratio of
/// the two. False where rounding might have a say. AdamReplay may skip work only behind such steps.
[[nodiscard]] bool IsShrinkingStep(const AdamOptions& options, float step_size,
                                   float next_step_size);

/// Missed steps, oldest first.
struct MissedSteps {
  std::span<const float> step_sizes;  // of AdamStepSize, one a step
  /// From this index on, every step to its successor is a shrinking one (IsShrinkingStep).
  std::size_t shrinking_from = 0;
};

/// The bits of one gradient-free AdamUpdate for each missed step, in order. Exact short cuts: where
/// no lane of w changed in a shrinking step, w is final, and only m and v go on; m = 0 stays.
void AdamReplay(const AdamOptions& options, const MissedSteps& missed, std::span<float> w,
                std::span<float> m, std::span<float> v);

}  // namespace dcn::ps
