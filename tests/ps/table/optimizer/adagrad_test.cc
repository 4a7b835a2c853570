#include "ps/table/optimizer/adagrad.h"

#include <cmath>
#include <cstddef>
#include <vector>

#include <gtest/gtest.h>

#include "common/floating_point.h"
#include "common/random.h"
#include "tests/ps/float_bits.h"

namespace dcn::ps {
namespace {

using testing::Bits;

TEST(AdagradTest, FollowsTheFormulaLaneByLane) {
  FlushDenormalsToZero();
  const AdagradOptions options{.initial_accumulator = 0.1F, .epsilon = 1e-7F};
  for (const std::size_t size : {0U, 1U, 2U, 7U, 16U, 31U, 32U, 33U, 64U}) {
    std::vector<float> w(size);
    RandomStream(1, 1).FillUniform(0.05F, 0, w);
    std::vector<float> a(size, options.initial_accumulator);
    std::vector<float> slow_w = w;
    std::vector<float> slow_a = a;
    std::vector<double> exact_w(w.begin(), w.end());
    std::vector<double> exact_a(size, 0.1);
    for (std::uint64_t step = 0; step < 50; ++step) {
      std::vector<float> g(size);
      RandomStream(2, step).FillUniform(1.0F, 0, g);
      AdagradUpdate(options, 0.01F, w, a, g);
      for (std::size_t i = 0; i < size; ++i) {
        const float square = g[i] * g[i];
        slow_a[i] = slow_a[i] + square;
        const float numerator = 0.01F * g[i];
        const float denominator = std::sqrt(slow_a[i]) + 1e-7F;
        const float change = numerator / denominator;
        slow_w[i] = slow_w[i] - change;
        const double gradient = static_cast<double>(g[i]);
        exact_a[i] += gradient * gradient;
        exact_w[i] -= 0.01 * gradient / (std::sqrt(exact_a[i]) + 1e-7);
      }
    }
    EXPECT_EQ(Bits(w), Bits(slow_w)) << size;
    EXPECT_EQ(Bits(a), Bits(slow_a)) << size;
    for (std::size_t i = 0; i < size; ++i) {
      EXPECT_NEAR(static_cast<double>(w[i]), exact_w[i], 1e-6);
    }
  }
}

}  // namespace
}  // namespace dcn::ps
