#include "ps/table/optimizer/adagrad.h"

#include <cmath>
#include <cstddef>

namespace dcn::ps {

void AdagradUpdate(const AdagradOptions& options, float learning_rate, std::span<float> w,
                   std::span<float> accumulator, std::span<const float> g) {
  const float epsilon = options.epsilon;
  const std::size_t size = w.size();
  float* __restrict weight = w.data();
  float* __restrict sum = accumulator.data();
  const float* __restrict gradient = g.data();
  for (std::size_t i = 0; i < size; ++i) {
    sum[i] = sum[i] + gradient[i] * gradient[i];
    weight[i] = weight[i] - (learning_rate * gradient[i]) / (std::sqrt(sum[i]) + epsilon);
  }
}

}  // namespace dcn::ps
