#include "ps/table/optimizer/adam.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

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

// Lanes that are kept in registers over all missed steps of a row.
constexpr std::size_t kBlock = 16;
// Missed steps between two looks at what has become final.
constexpr std::size_t kStepsPerLook = 8;

struct Block {
  alignas(64) float w[kBlock] = {};
  alignas(64) float m[kBlock] = {};
  alignas(64) float v[kBlock] = {};
};

inline bool AllZeroBits(const float (&values)[kBlock]) {
  std::uint32_t any = 0;
  for (std::size_t i = 0; i < kBlock; ++i) any |= std::bit_cast<std::uint32_t>(values[i]);
  return any == 0;
}

inline bool SameBits(const float (&a)[kBlock], const float (&b)[kBlock]) {
  std::uint32_t any = 0;
  for (std::size_t i = 0; i < kBlock; ++i) {
    any |= std::bit_cast<std::uint32_t>(a[i]) ^ std::bit_cast<std::uint32_t>(b[i]);
  }
  return any == 0;
}

// Runs whole steps until w is final; returns how many were run.
inline std::size_t ReplayWeights(const AdamOptions& o, const MissedSteps& missed, Block& block) {
  const std::size_t count = missed.step_sizes.size();
  Block b = block;
  std::size_t k = 0;
  while (k < count) {
    const std::size_t end = std::min(count, k + kStepsPerLook);
    float before[kBlock] = {};
    for (; k < end; ++k) {
      const float step_size = missed.step_sizes[k];
      for (std::size_t i = 0; i < kBlock; ++i) {
        MoveMoments(o.beta_1, o.beta_2, 0.0F, 0.0F, b.m[i], b.v[i]);
        before[i] = b.w[i];
        MoveWeight(step_size, o.epsilon, b.m[i], b.v[i], b.w[i]);
      }
    }
    // Step k - 1 changed no lane. What follows changes w by no more if steps shrink, and by zero
    // if m = 0.
    if (SameBits(before, b.w) && (k > missed.shrinking_from || AllZeroBits(b.m))) break;
  }
  block = b;
  return k;
}

// The rest of the steps, for m and v alone.
inline void ReplayMoments(const AdamOptions& o, std::size_t count, Block& block) {
  Block b = block;
  while (count > 0) {
    if (AllZeroBits(b.m) && AllZeroBits(b.v)) break;
    const std::size_t steps = std::min(count, kStepsPerLook);
    for (std::size_t k = 0; k < steps; ++k) {
      for (std::size_t i = 0; i < kBlock; ++i) {
        MoveMoments(o.beta_1, o.beta_2, 0.0F, 0.0F, b.m[i], b.v[i]);
      }
    }
    count -= steps;
  }
  block = b;
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
  const AdamCoefficients c = coefficients;
  const float rest_1 = 1.0F - c.beta_1;
  const float rest_2 = 1.0F - c.beta_2;
  const std::size_t size = w.size();
  float* __restrict w_ = w.data();
  float* __restrict m_ = m.data();
  float* __restrict v_ = v.data();
  const float* __restrict g_ = g.data();
  for (std::size_t i = 0; i < size; ++i) {
    MoveMoments(c.beta_1, c.beta_2, rest_1 * g_[i], rest_2 * (g_[i] * g_[i]), m_[i], v_[i]);
    MoveWeight(c.step_size, c.epsilon, m_[i], v_[i], w_[i]);
  }
}

void AdamUpdate(const AdamCoefficients& coefficients, std::span<float> w, std::span<float> m,
                std::span<float> v) {
  const AdamCoefficients c = coefficients;
  const std::size_t size = w.size();
  float* __restrict w_ = w.data();
  float* __restrict m_ = m.data();
  float* __restrict v_ = v.data();
  for (std::size_t i = 0; i < size; ++i) {
    MoveMoments(c.beta_1, c.beta_2, 0.0F, 0.0F, m_[i], v_[i]);
    MoveWeight(c.step_size, c.epsilon, m_[i], v_[i], w_[i]);
  }
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
  for (std::size_t first = 0; first < w.size(); first += kBlock) {
    // Lanes beyond the end are zero, and stay zero.
    const std::size_t lanes = std::min(kBlock, w.size() - first);
    Block block;
    std::memcpy(block.w, w.data() + first, lanes * sizeof(float));
    std::memcpy(block.m, m.data() + first, lanes * sizeof(float));
    std::memcpy(block.v, v.data() + first, lanes * sizeof(float));
    const std::size_t done = ReplayWeights(options, missed, block);
    ReplayMoments(options, missed.step_sizes.size() - done, block);
    std::memcpy(w.data() + first, block.w, lanes * sizeof(float));
    std::memcpy(m.data() + first, block.m, lanes * sizeof(float));
    std::memcpy(v.data() + first, block.v, lanes * sizeof(float));
  }
}

}  // namespace dcn::ps
