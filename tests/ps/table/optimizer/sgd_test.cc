#include "ps/table/optimizer/sgd.h"

#include <cstddef>
#include <vector>

#include <gtest/gtest.h>

#include "common/random.h"
#include "tests/ps/float_bits.h"

namespace dcn::ps {
namespace {

TEST(SgdTest, SubtractsTheRateTimesTheGradient) {
  for (const std::size_t size : {0U, 1U, 2U, 7U, 16U, 31U, 32U, 33U, 64U}) {
    std::vector<float> w(size);
    std::vector<float> g(size);
    RandomStream(1, 1).FillUniform(0.05F, 0, w);
    RandomStream(1, 2).FillUniform(1.0F, 0, g);
    std::vector<float> expected = w;
    for (std::size_t i = 0; i < size; ++i) {
      const float change = 0.3F * g[i];
      expected[i] = expected[i] - change;
    }
    SgdUpdate(0.3F, w, g);
    EXPECT_EQ(testing::Bits(w), testing::Bits(expected)) << size;
  }
}

}  // namespace
}  // namespace dcn::ps
