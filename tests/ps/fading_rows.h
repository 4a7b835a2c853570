// Rows with dense-form Adam that get one gradient each and then none for thousands of steps: their
// moments fade through the denormal floats, which only flushing keeps them from standing at.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#include "common/random.h"
#include "ps/protocol.h"
#include "tests/ps/slow_table.h"

namespace dcn::ps::testing {

/// Row k has gradients of about 10^-2k, its lanes weights from .1 down to almost a denormal: where
/// a moment stands still instead of fading, the weights of some lanes show it.
struct FadingRows {
  static constexpr std::size_t kRows = 19;
  static constexpr std::size_t kDimension = 8;
  static constexpr Step kSteps = 9000;  // the first with gradients, the others without
  static constexpr float kLearningRate = 0.01F;

  const TableDefinition definition{"fading", kDimension, {.seed = 3}, AdamOptions{}};
  std::vector<Key> keys;
  std::vector<float> weights;    // [kRows, kDimension], assigned before the first step
  std::vector<float> gradients;  // [kRows, kDimension], of the first step

  FadingRows() {
    constexpr float kWeights[kDimension] = {0.1F,    0.0F,   -1e-9F,  1e-18F,
                                            -1e-27F, 3e-36F, -2e-37F, 1.5e-38F};
    const RandomStream random(5, StreamId("fading"));
    for (Key key = 0; key < kRows; ++key) {
      keys.push_back(key);
      for (std::size_t lane = 0; lane < kDimension; ++lane) {
        const double mantissa = 1 + random.Uniform(gradients.size());
        const double sign = lane % 2 == 0 ? 1 : -1;
        weights.push_back(kWeights[lane]);
        gradients.push_back(
            static_cast<float>(sign * mantissa * std::pow(10.0, -2.0 * static_cast<double>(key))));
      }
    }
  }

  [[nodiscard]] std::span<const float> GradientOf(Key key) const {
    return std::span(gradients).subspan(key * kDimension, kDimension);
  }

  /// The slow table after all steps, swept at each of them, with denormals as they are on the
  /// calling thread.
  [[nodiscard]] SlowTable Sweep() const {
    SlowTable table(definition);
    std::map<Key, std::vector<float>> by_key;
    for (const Key key : keys) {
      const auto row = std::span(weights).subspan(key * kDimension, kDimension);
      table.Assign(key, {row.begin(), row.end()});
      by_key[key].assign(GradientOf(key).begin(), GradientOf(key).end());
    }
    table.ApplyStep(kLearningRate, by_key);
    for (Step step = 2; step <= kSteps; ++step) table.ApplyStep(kLearningRate, {});
    return table;
  }
};

#if defined(__SSE2__)
/// While it lives, the calling thread computes with denormals, and so does a thread that it starts
/// until that one flushes them.
class DenormalsKept {
 public:
  DenormalsKept() { _mm_setcsr(before_ & ~0x8040U); }  // flush to zero, denormals are zero
  ~DenormalsKept() { _mm_setcsr(before_); }
  DenormalsKept(const DenormalsKept&) = delete;
  DenormalsKept& operator=(const DenormalsKept&) = delete;

 private:
  const unsigned int before_ = _mm_getcsr();
};
#endif

/// Floats that are neither 0 nor normal. By their bits: to a thread that flushes denormals they
/// compare like zeros.
inline std::size_t CountDenormals(std::span<const float> values) {
  std::size_t count = 0;
  for (const float value : values) {
    const std::uint32_t magnitude = std::bit_cast<std::uint32_t>(value) & 0x7fffffffU;
    if (magnitude > 0 && magnitude < 0x00800000U) ++count;
  }
  return count;
}

}  // namespace dcn::ps::testing
