#include "launch/report/axis.h"

#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/check.h"

namespace dcn::report {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::Pointwise;

TEST(AxisTest, MapsLinearlyInBothDirections) {
  const Axis axis = {.low = 2, .high = 4, .from = 100, .to = 0};
  EXPECT_DOUBLE_EQ(axis.Position(2), 100);
  EXPECT_DOUBLE_EQ(axis.Position(3), 50);
  EXPECT_DOUBLE_EQ(axis.Position(4), 0);
}

TEST(AxisTest, MapsEqualRatiosToEqualLengths) {
  const Axis axis = {.low = 1, .high = 100, .from = 0, .to = 10, .is_logarithmic = true};
  EXPECT_DOUBLE_EQ(axis.Position(1), 0);
  EXPECT_DOUBLE_EQ(axis.Position(10), 5);
  EXPECT_DOUBLE_EQ(axis.Position(100), 10);
}

TEST(AxisTest, PutsEverythingInTheMiddleOfNothing) {
  EXPECT_DOUBLE_EQ((Axis{.low = 3, .high = 3, .from = 0, .to = 8}.Position(3)), 4);
}

TEST(TicksTest, AreRoundAndInside) {
  EXPECT_THAT(LinearTicks(0, 184, 4), ElementsAre(0, 50, 100, 150));
  EXPECT_THAT(LinearTicks(0, 1, 5),
              Pointwise(DoubleNear(1e-12), std::vector<double>{0, 0.2, 0.4, 0.6, 0.8, 1.0}));
  EXPECT_THAT(LinearTicks(-1, 1, 4),
              Pointwise(DoubleNear(1e-12), std::vector<double>{-1, -0.5, 0, 0.5, 1}));
  for (const double size : {1e-6, 0.0137, 1.0, 3.3, 97.0, 1e9}) {
    for (const int wanted : {1, 3, 5, 10}) {
      const std::vector<double> ticks = LinearTicks(size, 2 * size, wanted);
      EXPECT_LE(ticks.size(), 2U * static_cast<std::size_t>(wanted) + 1);
      for (const double tick : ticks) {
        EXPECT_GE(tick, size * (1 - 1e-9));
        EXPECT_LE(tick, 2 * size * (1 + 1e-9));
      }
    }
  }
  EXPECT_THROW(LinearTicks(1, 1, 5), CheckError);
}

TEST(TicksTest, OfALogarithmAreRoundAndInside) {
  EXPECT_THAT(LogarithmicTicks(0.75, 13), ElementsAre(1, 2, 3, 5, 7, 10));
  EXPECT_THAT(LogarithmicTicks(1, 1000), ElementsAre(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000));
  EXPECT_TRUE(LogarithmicTicks(1.1, 1.2).empty());
  EXPECT_THROW(LogarithmicTicks(0, 1), CheckError);
}

TEST(TicksTest, ShareTheirDecimals) {
  EXPECT_THAT(LinearTickTexts({0.935, 0.94, 0.945}), ElementsAre("0.935", "0.940", "0.945"));
  EXPECT_THAT(LinearTickTexts(LinearTicks(0.93, 0.95, 5)),
              ElementsAre("0.930", "0.935", "0.940", "0.945", "0.950"));
  EXPECT_THAT(LinearTickTexts({0, 50000, 100000}), ElementsAre("0", "50,000", "100,000"));
  EXPECT_THAT(LinearTickTexts({-0.5, 0, 0.5}), ElementsAre("-0.5", "0.0", "0.5"));
  EXPECT_TRUE(LinearTickTexts({}).empty());
}

TEST(TicksTest, AloneAreShort) {
  EXPECT_EQ(FormatTick(0.7000000000000001), "0.7");
  EXPECT_EQ(FormatTick(10), "10");
}

TEST(DecimalsTest, ShowThreeDigits) {
  EXPECT_EQ(DecimalsFor(6.8), 2);
  EXPECT_EQ(DecimalsFor(0.5), 3);
  EXPECT_EQ(DecimalsFor(0.05), 4);
  EXPECT_EQ(DecimalsFor(12), 1);
  EXPECT_EQ(DecimalsFor(1234), 0);
  EXPECT_EQ(DecimalsFor(1e-9), 5);
  EXPECT_EQ(DecimalsFor(0), 2);
  EXPECT_EQ(DecimalsFor(std::numeric_limits<double>::quiet_NaN()), 2);
}

}  // namespace
}  // namespace dcn::report
