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

output::RunResult RunOf(std::uint64_t seed, std::vector<output::EpochResult> epochs) {
  output::RunResult run = RunWith({{1, 3}, {2, 2}});
  run.seed = seed;
  run.epochs = std::move(epochs);
  return run;
}

SweepResults Sweep(const std::vector<std::vector<output::RunResult>>& variants) {
  SweepResults results;
  for (const std::vector<output::RunResult>& runs : variants) {
    results.variants.emplace_back();
    results.variants.back().name = fmt::format("v{}", results.variants.size());
    results.variants.back().runs = runs;
  }
  return results;
}

std::string Figures(const std::vector<std::vector<output::RunResult>>& variants) {
  const SweepResults results = Sweep(variants);
  return LossFigures(SummarizeVariants(results));
}

std::string TableOf(const std::vector<std::vector<output::RunResult>>& variants) {
  const SweepResults results = Sweep(variants);
  return LossTable(SummarizeVariants(results));
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

TEST(LossFiguresTest, HaveTheMeanOfEveryStepOnHoverAndEveryRunsLoss) {
  output::RunResult other = RunWith({{1, 8}, {2, 1.5}, {4, 1}});
  other.seed = 7;
  other.epochs = {{0.5, 1}};
  const std::string html =
      Figures({{RunWith({{1, 9}, {2, 1}, {4, 1}}), other}, {RunWith({{1, 7.25}})}});
  EXPECT_THAT(html, HasSubstr("<title>step 1: mean 8.5000</title>"));
  EXPECT_THAT(html, HasSubstr("<title>step 2: mean 1.2500</title>"));
  EXPECT_THAT(html, HasSubstr("<title>step 4: mean 1.0000</title>"));
  EXPECT_THAT(html, HasSubstr("<title>step 1: 7.2500</title>"));  // of one run
  EXPECT_EQ(testing::CountOf(html, "<rect class=\"hover\""), 4U);
  EXPECT_THAT(html, HasSubstr("<title>seed 1: 0.8300 over the last epoch</title>"));
  EXPECT_THAT(html, HasSubstr("<title>seed 7: 0.5000 over the last epoch</title>"));
}

TEST(LossFiguresTest, CoverTheChartWithTheStripsForHovering) {
  const std::string html = Figures({{RunWith({{1, 9}, {2, 1}, {4, 1}})}});
  // Steps 0 to 4 stand at 40 to 336; a strip reaches half way to its neighbours.
  EXPECT_THAT(html,
              HasSubstr("x=\"40.00\" y=\"8\" width=\"111.00\" height=\"190\"><title>step 1:"));
  EXPECT_THAT(html,
              HasSubstr("x=\"151.00\" y=\"8\" width=\"111.00\" height=\"190\"><title>step 2:"));
  EXPECT_THAT(html,
              HasSubstr("x=\"262.00\" y=\"8\" width=\"74.00\" height=\"190\"><title>step 4:"));
}

TEST(LossTableTest, HasMeanAndDeviationOfEveryEpochAndVariant) {
  const std::string table = TableOf(
      {{RunOf(1, {{1.5, 9}, {0.75, 9}}), RunOf(2, {{2.5, 9}, {1.0, 9}})}, {RunOf(1, {{4.0, 9}})}});
  EXPECT_THAT(table, HasSubstr("<th scope=\"col\">Epoch</th><th scope=\"col\">v1</th>"
                               "<th scope=\"col\">v2</th>"));
  EXPECT_THAT(table, HasSubstr("<th scope=\"row\">1</th><td>2.0000&nbsp;±&nbsp;0.5000</td>"
                               "<td>4.0000</td>"));
  EXPECT_THAT(table, HasSubstr("<th scope=\"row\">2</th><td>0.8750&nbsp;±&nbsp;0.1250</td>"
                               "<td>–</td>"));
  EXPECT_EQ(testing::CountOf(table, "<tr>"), 3U);
}

TEST(LossTableTest, HasADashWhereARunLacksTheEpochOrItsLossIsNoNumber) {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  const std::string table = TableOf({{RunOf(1, {{1.5, 9}, {0.75, 9}}), RunOf(2, {{2.5, 9}})},
                                     {RunOf(1, {{kNaN, 9}}), RunOf(2, {{1, 9}})}});
  EXPECT_THAT(table, HasSubstr("<td>2.0000&nbsp;±&nbsp;0.5000</td><td>–</td>"));
  EXPECT_THAT(table, HasSubstr("<th scope=\"row\">2</th><td>–</td><td>–</td>"));
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
