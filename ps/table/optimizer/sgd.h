// Plain stochastic gradient descent; a pure function over spans.
#pragma once

#include <cstddef>
#include <span>

namespace dcn::ps {

/// w = fl(w - fl(lr g)). Both spans have one size and do not overlap.
inline void SgdUpdate(float learning_rate, std::span<float> w, std::span<const float> g) {
  float* __restrict weight = w.data();
  const float* __restrict gradient = g.data();
  const std::size_t size = w.size();
  for (std::size_t i = 0; i < size; ++i) weight[i] = weight[i] - learning_rate * gradient[i];
}

}  // namespace dcn::ps
