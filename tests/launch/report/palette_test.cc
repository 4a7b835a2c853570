#include "launch/report/palette.h"

#include <limits>

#include <gtest/gtest.h>

namespace dcn::report {
namespace {

constexpr Ramp kRamps[] = {Ramp::kBlue, Ramp::kPurple, Ramp::kGreen};

TEST(PaletteTest, GetsDarkerAllTheWay) {
  for (const Ramp ramp : kRamps) {
    double previous = 2;
    for (int k = 0; k <= 100; ++k) {
      const double luminance = Luminance(RampColour(ramp, k / 100.0));
      EXPECT_LT(luminance, previous) << static_cast<int>(ramp) << " at " << k;
      previous = luminance;
    }
    EXPECT_GT(Luminance(RampColour(ramp, 0)), 0.9);
    EXPECT_LT(Luminance(RampColour(ramp, 1)), 0.06);
  }
}

TEST(PaletteTest, StaysOnTheRampOutsideOfIt) {
  for (const Ramp ramp : kRamps) {
    EXPECT_EQ(RampColour(ramp, -3), RampColour(ramp, 0));
    EXPECT_EQ(RampColour(ramp, 7), RampColour(ramp, 1));
    EXPECT_EQ(RampColour(ramp, std::numeric_limits<double>::quiet_NaN()), RampColour(ramp, 0));
  }
}

TEST(PaletteTest, WritesTextThatReadsOnEveryColour) {
  for (const Ramp ramp : kRamps) {
    for (int k = 0; k <= 1000; ++k) {
      const Colour background = RampColour(ramp, k / 1000.0);
      EXPECT_GE(Contrast(TextColour(background), background), 4.5) << Hex(background);
    }
  }
}

TEST(PaletteTest, KnowsTheContrastsOfTheStandard) {
  EXPECT_NEAR(Contrast({0, 0, 0}, {255, 255, 255}), 21, 1e-9);
  EXPECT_NEAR(Contrast({255, 255, 255}, {0, 0, 0}), 21, 1e-9);
  EXPECT_NEAR(Contrast({119, 119, 119}, {255, 255, 255}), 4.48, 0.005);
  EXPECT_DOUBLE_EQ(Contrast({9, 9, 9}, {9, 9, 9}), 1);
}

TEST(PaletteTest, GivesSixVariantsColoursThatShowOnPaper) {
  for (std::size_t k = 0; k < 6; ++k) {
    EXPECT_GE(Contrast(VariantColour(k), {255, 255, 255}), 2) << k;
    for (std::size_t other = 0; other < k; ++other) {
      EXPECT_FALSE(VariantColour(k) == VariantColour(other)) << k << " and " << other;
    }
  }
  EXPECT_EQ(VariantColour(0), VariantColour(6));
}

TEST(PaletteTest, WritesHex) {
  EXPECT_EQ(Hex({0, 10, 255}), "#000aff");
  EXPECT_EQ(Hex(RampColour(Ramp::kBlue, 0)), "#f7fbff");
  EXPECT_EQ(Hex(RampColour(Ramp::kBlue, 1)), "#08306b");
}

}  // namespace
}  // namespace dcn::report
