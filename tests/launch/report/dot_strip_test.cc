#include "launch/report/dot_strip.h"

#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/launch/fixture_sweep.h"
#include "tests/launch/report/count_of.h"

namespace dcn::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

VariantResults Variant(const std::string& name, const std::vector<double>& values) {
  VariantResults variant;
  variant.name = name;
  for (std::size_t k = 0; k < values.size(); ++k) {
    variant.runs.push_back(testing::FixtureResult(name, k + 1));
    variant.runs.back().test_rmse = values[k];
  }
  return variant;
}

std::string Figure(const std::vector<VariantResults>& variants) {
  SweepResults results;
  results.variants = variants;
  return DotStripFigure(SummarizeVariants(results));
}

TEST(DotStripTest, HasADotForEveryRunThatSaysWhatItIs) {
  const std::string figure = Figure({Variant("a<b", {0.93, 0.94}), Variant("c", {0.95})});
  EXPECT_EQ(testing::CountOf(figure, "<circle class=\"run\""), 3U);
  EXPECT_THAT(figure, HasSubstr("<title>a&lt;b, seed 2: 0.9400</title>"));
  EXPECT_EQ(testing::CountOf(figure, "class=\"mean\""), 2U);
}

TEST(DotStripTest, LeavesOutRunsThatDiverged) {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  const std::string figure = Figure({Variant("a", {0.93, kNaN}), Variant("b", {0.94})});
  EXPECT_EQ(testing::CountOf(figure, "<circle class=\"run\""), 2U);
  EXPECT_EQ(testing::CountOf(figure, "class=\"mean\""), 1U);  // a has no mean
  EXPECT_THAT(figure, Not(HasSubstr("nan")));
  EXPECT_EQ(Figure({Variant("a", {kNaN})}), "");
  EXPECT_EQ(Figure({}), "");
}

TEST(DotStripTest, DrawsASingleRunAndEqualRuns) {
  for (const std::vector<double>& values : {std::vector<double>{1.25}, {1.25, 1.25, 1.25}}) {
    const std::string figure = Figure({Variant("a", values)});
    EXPECT_EQ(testing::CountOf(figure, "<circle class=\"run\""), values.size());
    EXPECT_THAT(figure, Not(HasSubstr("nan")));
    EXPECT_THAT(figure, Not(HasSubstr("inf")));
  }
}

TEST(DotStripTest, KeepsDotsApart) {
  EXPECT_EQ(SpreadDots(std::vector<double>{0, 50, 100}, 4), (std::vector<double>{0, 0, 0}));
  const std::vector<double> crowded = {10, 10, 10, 10, 10};
  const std::vector<double> offsets = SpreadDots(crowded, 4);
  for (std::size_t k = 0; k < offsets.size(); ++k) {
    for (std::size_t other = 0; other < k; ++other) {
      EXPECT_GE(std::abs(offsets[k] - offsets[other]), 6.0);
    }
  }
  EXPECT_EQ(SpreadDots(std::vector<double>(9, 1.0), 4).size(), 9U);  // more than there is room for
  EXPECT_TRUE(SpreadDots({}, 4).empty());
}

}  // namespace
}  // namespace dcn::report
