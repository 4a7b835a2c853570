#include "ps/table/optimizer/adam.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "common/check.h"

// This file is compiled with -fno-math-errno, so that sqrt is one instruction over many lanes. Both
// sqrt and division are rounded as IEEE 754 wants, whatever the width of the vectors.

namespace dcn::ps {
namespace {

// The rounding order of the file head, in two halves. g_1 = (1 - b1) g and g_2 = (1 - b2) g^2; both
// are +0 in a step without gradient (and the sum is kept: it turns -0 into +0).
inline void MoveMoments(float beta_1, float beta_2, float g_1, float g_2, float& m, float& v) {
  m = beta_1 * m + g_1;
  v = beta_2 * v + g_2;
}

inline void MoveWeight(float step_size, float epsilon, float m, float v, float& w) {
  w = w - (step_size * m) / (std::sqrt(v) + epsilon);
}

// One step of every lane. g is read only if kHasGradient. The constants come by value, so that
// no store can change them.
template <bool kHasGradient>
inline void StepLanes(AdamCoefficients c, std::size_t size, float* __restrict w,
                      float* __restrict m, float* __restrict v, const float* __restrict g) {
  const float rest_1 = 1.0F - c.beta_1;
  const float rest_2 = 1.0F - c.beta_2;
  for (std::size_t i = 0; i < size; ++i) {
    float g_1 = 0.0F;
    float g_2 = 0.0F;
    if constexpr (kHasGradient) {
      g_1 = rest_1 * g[i];
      g_2 = rest_2 * (g[i] * g[i]);
    }
    float w_i = w[i];
    float m_i = m[i];
    float v_i = v[i];
    MoveMoments(c.beta_1, c.beta_2, g_1, g_2, m_i, v_i);
    MoveWeight(c.step_size, c.epsilon, m_i, v_i, w_i);
    w[i] = w_i;
    m[i] = m_i;
    v[i] = v_i;
  }
}

// Missed steps between two looks at what has become final.
constexpr std::size_t kStepsPerLook = 8;

// Lanes of a row that stay in registers over all missed steps.
template <std::size_t kLanes>
struct Lanes {
  float w[kLanes] = {};
  float m[kLanes] = {};
  float v[kLanes] = {};
};

// A loop that compilers turn into vector instructions. They must not unroll it into single lanes
// first, as they do with short loops.
template <std::size_t kLanes, typename Body>
inline void ForEachLane(Body body) {
#pragma GCC unroll 1
  for (std::size_t i = 0; i < kLanes; ++i) body(i);
}

template <std::size_t kLanes>
inline bool AllZeroBits(const float (&values)[kLanes]) {
  std::uint32_t any = 0;
  ForEachLane<kLanes>([&](std::size_t i) { any |= std::bit_cast<std::uint32_t>(values[i]); });
  return any == 0;
}

template <std::size_t kLanes>
inline bool SameBits(const float (&a)[kLanes], const float (&b)[kLanes]) {
  std::uint32_t any = 0;
  ForEachLane<kLanes>([&](std::size_t i) {
    any |= std::bit_cast<std::uint32_t>(a[i]) ^ std::bit_cast<std::uint32_t>(b[i]);
  });
  return any == 0;
}

// Runs whole steps until w is final; returns how many were run.
template <std::size_t kLanes>
inline std::size_t ReplayWeights(const AdamOptions& o, const MissedSteps& missed,
                                 Lanes<kLanes>& row) {
  const std::size_t count = missed.step_sizes.size();
  std::size_t k = 0;
  while (k < count) {
    const std::size_t end = std::min(count, k + kStepsPerLook);
    float before[kLanes] = {};
    for (; k < end; ++k) {
      const float step_size = missed.step_sizes[k];
      ForEachLane<kLanes>([&](std::size_t i) {
        MoveMoments(o.beta_1, o.beta_2, 0.0F, 0.0F, row.m[i], row.v[i]);
        before[i] = row.w[i];
        MoveWeight(step_size, o.epsilon, row.m[i], row.v[i], row.w[i]);
      });
    }
    // If step k - 1 changed no lane, what follows changes none either: the steps shrink from there
    // on, or m is zero.
    const bool may_be_final = k < count && SameBits(before, row.w);
    if (may_be_final && (k > missed.shrinking_from || AllZeroBits(row.m))) break;
  }
  return k;
}

// The rest of the steps, for m and v alone.
template <std::size_t kLanes>
inline void ReplayMoments(const AdamOptions& o, std::size_t count, Lanes<kLanes>& row) {
  while (count > 0 && !(AllZeroBits(row.m) && AllZeroBits(row.v))) {
    const std::size_t steps = std::min(count, kStepsPerLook);
    for (std::size_t k = 0; k < steps; ++k) {
      ForEachLane<kLanes>(
          [&](std::size_t i) { MoveMoments(o.beta_1, o.beta_2, 0.0F, 0.0F, row.m[i], row.v[i]); });
    }
    count -= steps;
  }
}

// The lanes [0, size) of what the pointers show, size <= kLanes.
template <std::size_t kLanes>
inline void ReplayLanes(const AdamOptions& options, const MissedSteps& missed, std::size_t size,
                        float* w, float* m, float* v) {
  Lanes<kLanes> row;  // lanes from `size` on are zero, and stay zero
  std::copy_n(w, size, row.w);
  std::copy_n(m, size, row.m);
  std::copy_n(v, size, row.v);
  const std::size_t done = ReplayWeights(options, missed, row);
  ReplayMoments(options, missed.step_sizes.size() - done, row);
  std::copy_n(row.w, size, w);
  std::copy_n(row.m, size, m);
  std::copy_n(row.v, size, v);
}

}  // namespace

float AdamStepSize(float learning_rate, float beta_1, float beta_2, Step step) {
  DCN_CHECK_GE(step, Step{1});
  const auto t = static_cast<double>(step);
  const double correction_1 = 1.0 - std::pow(static_cast<double>(beta_1), t);
  const double correction_2 = 1.0 - std::pow(static_cast<double>(beta_2), t);
  return static_cast<float>(static_cast<double>(learning_rate) * std::sqrt(correction_2) /
                            correction_1);
}

void AdamUpdate(const AdamCoefficients& coefficients, std::span<float> w, std::span<float> m,
                std::span<float> v, std::span<const float> g) {
  StepLanes<true>(coefficients, w.size(), w.data(), m.data(), v.data(), g.data());
}

void AdamUpdate(const AdamCoefficients& coefficients, std::span<float> w, std::span<float> m,
                std::span<float> v) {
  StepLanes<false>(coefficients, w.size(), w.data(), m.data(), v.data(), nullptr);
}

bool IsShrinkingStep(const AdamOptions& options, float step_size, float next_step_size) {
  // Each factor is off by a few roundings of 2^-24 at most; the margin is well above that. A tiny
  // epsilon is left out because v may be flushed to zero at once, at 2^-126.
  constexpr double kMargin = 1.0 + 1e-5;
  constexpr float kSmallestEpsilon = 1e-12F;
  const double next_change = static_cast<double>(next_step_size) * options.beta_1 * kMargin;
  const double change = step_size * std::sqrt(static_cast<double>(options.beta_2));
  return options.epsilon >= kSmallestEpsilon && next_change <= change;
}

void AdamReplay(const AdamOptions& options, const MissedSteps& missed, std::span<float> w,
                std::span<float> m, std::span<float> v) {
  constexpr std::size_t kWide = 32;
  constexpr std::size_t kNarrow = 16;
  const std::size_t size = w.size();
  std::size_t i = 0;
  for (; i + kWide <= size; i += kWide) {
    ReplayLanes<kWide>(options, missed, kWide, &w[i], &m[i], &v[i]);
  }
  for (; i + kNarrow <= size; i += kNarrow) {
    ReplayLanes<kNarrow>(options, missed, kNarrow, &w[i], &m[i], &v[i]);
  }
  if (i < size) ReplayLanes<kNarrow>(options, missed, size - i, &w[i], &m[i], &v[i]);
}

}  // namespace dcn::ps
