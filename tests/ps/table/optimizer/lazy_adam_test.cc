#include "ps/table/optimizer/lazy_adam.h"

#include <cstddef>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "common/floating_point.h"
#include "tests/ps/float_bits.h"
#include "tests/ps/slow_table.h"

namespace dcn::ps {
namespace {

using testing::Bits;

TEST(LazyAdamTest, ATouchedRowTakesAdamsStep) {
  FlushDenormalsToZero();
  const LazyAdamOptions o{.beta_1 = 0.8F, .beta_2 = 0.99F, .epsilon = 1e-5F};
  std::vector<float> w = {0.1F, -0.2F, 0.3F};
  std::vector<float> m = {0.01F, 0.0F, -0.02F};
  std::vector<float> v = {0.001F, 0.0F, 0.1F};
  const std::vector<float> g = {0.5F, -1.5F, 0.0F};
  auto [slow_w, slow_m, slow_v] = std::tuple(w, m, v);
  LazyAdamUpdate(o, 0.03F, w, m, v, g);
  for (std::size_t i = 0; i < g.size(); ++i) {
    testing::SlowAdamLane(0.8F, 0.99F, 1e-5F, 0.03F, g[i], slow_w[i], slow_m[i], slow_v[i]);
  }
  EXPECT_EQ(Bits(w), Bits(slow_w));
  EXPECT_EQ(Bits(m), Bits(slow_m));
  EXPECT_EQ(Bits(v), Bits(slow_v));
}

}  // namespace
}  // namespace dcn::ps
