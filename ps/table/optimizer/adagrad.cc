#include "ps/table/optimizer/adagrad.h"

#include <cmath>
#include <cstddef>

namespace dcn::ps {

void AdagradUpdate(const AdagradOptions& options, float learning_rate, std::span<float> w,
                   std::span<float> accumulator, std::span<const float> g) {
  const float epsilon = options.epsilon;
  const std::size_t size = w.size();
  float* __restrict w_ = w.data();
  float* __restrict a_ = accumulator.data();
  const float* __restrict g_ = g.data();
  for (std::size_t i = 0; i < size; ++i) {
    a_[i] = a_[i] + g_[i] * g_[i];
    w_[i] = w_[i] - (learning_rate * g_[i]) / (std::sqrt(a_[i]) + epsilon);
  }
}

}  // namespace dcn::ps
