#include "launch/report/loss_chart.h"

#include <limits>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/launch/fixture_sweep.h"
#include "tests/launch/report/count_of.h"

namespace dcn::report {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

output::RunResult RunWith(std::vector<output::LossPoint> curve) {
  output::RunResult run = testing::FixtureResult("full", 1);
  run.loss_curve = std::move(curve);
  return run;
}

std::string Figures(const std::vector<std::vector<output::RunResult>>& variants) {
  SweepResults results;
  for (const std::vector<output::RunResult>& runs : variants) {
    results.variants.emplace_back();
    results.variants.back().name = fmt::format("v{}", results.variants.size());
    results.variants.back().runs = runs;
  }
  return LossFigures(SummarizeVariants(results));
}

TEST(MeanLossTest, IsTheMeanWhereEveryRunHasAPoint) {
  const output::RunResult runs[] = {RunWith({{1, 4.0}, {2, 2.0}, {3, 1.0}}),
                                    RunWith({{1, 2.0}, {3, 3.0}})};
  EXPECT_THAT(MeanLoss(runs), ElementsAre(Pair(1, 3.0), Pair(3, 2.0)));
}

TEST(MeanLossTest, CountsWhatIsNoLossAsMissing) {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const output::RunResult runs[] = {RunWith({{1, 4.0}, {2, kNaN}, {3, 0.0}, {4, kInfinity}}),
                                    RunWith({{1, 2.0}, {2, 3.0}, {3, 1.0}, {4, 1.0}})};
  EXPECT_THAT(MeanLoss(runs), ElementsAre(Pair(1, 3.0)));
  EXPECT_TRUE(MeanLoss({}).empty());
}

TEST(LossFiguresTest, HaveALineARunAMeanAndTheOthers) {
  const std::string html = Figures(
      {{RunWith({{1, 9}, {2, 1}}), RunWith({{1, 8}, {2, 1}})}, {RunWith({{1, 7}, {2, 2}})}});
  EXPECT_EQ(testing::CountOf(html, "<figure class=\"loss\">"), 2U);
  EXPECT_EQ(testing::CountOf(html, "class=\"run\""), 3U);
  EXPECT_EQ(testing::CountOf(html, "class=\"mean\""), 2U);
  EXPECT_EQ(testing::CountOf(html, "class=\"other\""), 2U);
  EXPECT_THAT(html, HasSubstr("0.8300 over the last epoch"));
}

TEST(LossFiguresTest, SayWhenTheScaleIsLogarithmic) {
  EXPECT_THAT(Figures({{RunWith({{1, 9}, {2, 1}})}}), HasSubstr("logarithmic"));
  EXPECT_THAT(Figures({{RunWith({{1, 2}, {2, 1}})}}), Not(HasSubstr("logarithmic")));
}

TEST(LossFiguresTest, DrawASinglePointAndNone) {
  const std::string html = Figures({{RunWith({{1, 3}})}, {RunWith({})}});
  EXPECT_EQ(testing::CountOf(html, "<figure class=\"loss\">"), 2U);
  EXPECT_THAT(html, Not(HasSubstr("nan")));
  EXPECT_EQ(Figures({{RunWith({})}}), "");
  EXPECT_EQ(Figures({}), "");
}

}  // namespace
}  // namespace dcn::report
