#include "launch/report/summary.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/check.h"
#include "tests/launch/fixture_sweep.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::report {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

TEST(StatisticsTest, AgreeWithTheDefinitions) {
  std::mt19937 random(3);
  std::normal_distribution<double> normal(0.93, 0.01);
  for (const std::size_t count : {1U, 2U, 3U, 5U, 40U}) {
    std::vector<double> values(count);
    for (double& value : values) value = normal(random);
    // E[x^2] - E[x]^2 in long double: another way to the same number.
    long double sum = 0;
    long double squares = 0;
    double minimum = values[0];
    double maximum = values[0];
    for (const double value : values) {
      sum += value;
      squares += static_cast<long double>(value) * value;
      minimum = std::min(minimum, value);
      maximum = std::max(maximum, value);
    }
    const long double mean = sum / static_cast<long double>(count);
    const long double variance = squares / static_cast<long double>(count) - mean * mean;
    const Statistics statistics = Describe(values);
    EXPECT_NEAR(statistics.mean, static_cast<double>(mean), 1e-14);
    EXPECT_NEAR(statistics.standard_deviation,
                static_cast<double>(std::sqrt(std::max(variance, 0.0L))), 1e-9);
    EXPECT_EQ(statistics.minimum, minimum);
    EXPECT_EQ(statistics.maximum, maximum);
  }
}

TEST(StatisticsTest, DivideByTheCount) {
  const double values[] = {1, 3};
  EXPECT_DOUBLE_EQ(Describe(values).standard_deviation, 1);  // ddof 1 would be 1.414
}

TEST(StatisticsTest, AreNoNumbersOnceOneIsNone) {
  const double values[] = {1, std::numeric_limits<double>::quiet_NaN(), 3};
  const Statistics statistics = Describe(values);
  EXPECT_TRUE(std::isnan(statistics.mean));
  EXPECT_TRUE(std::isnan(statistics.standard_deviation));
  EXPECT_TRUE(std::isnan(statistics.minimum));
  EXPECT_TRUE(std::isnan(statistics.maximum));
}

TEST(StatisticsTest, NeedAValue) {
  EXPECT_THROW(Describe({}), CheckError);
  EXPECT_THROW(Median({}), CheckError);
}

TEST(StatisticsTest, MedianIsTheMiddle) {
  EXPECT_EQ(Median({5}), 5);
  EXPECT_EQ(Median({9, 1, 5}), 5);
  EXPECT_EQ(Median({1, 9, 5, 7}), 6);
}

class SummaryTest : public ::testing::Test {
 protected:
  SummaryTest() {
    results_.record = testing::FixtureRecord({1, 2, 3});
    results_.planned_runs = 9;
    for (const sweep::Variant& variant : results_.record.variants) {
      results_.variants.emplace_back();
      results_.variants.back().name = variant.name;
      for (const std::uint64_t seed : results_.record.seeds) {
        results_.variants.back().runs.push_back(testing::FixtureResult(variant.name, seed));
      }
    }
    summaries_ = SummarizeVariants(results_);
  }

  const testing::TemporaryFolder folder_;
  SweepResults results_;
  std::vector<VariantSummary> summaries_;
};

TEST_F(SummaryTest, HoldsEveryRunAndItsStatistics) {
  ASSERT_TRUE(WriteSummary(results_, folder_.path()).ok());
  const json summary = json::parse(testing::ReadText(folder_.path() / "summary.json"));
  ASSERT_EQ(summary.at("variants").size(), 3U);
  for (const json& variant : summary.at("variants")) {
    std::vector<double> values;
    for (const json& run : variant.at("runs")) {
      const output::RunResult expected =
          testing::FixtureResult(variant.at("name"), run.at("seed").get<std::uint64_t>());
      EXPECT_EQ(run.at("test_rmse"), expected.test_rmse);
      EXPECT_EQ(run.at("parameter_digest"), expected.parameter_digest);
      values.push_back(expected.test_rmse);
    }
    ASSERT_EQ(values.size(), 3U);
    const Statistics statistics = Describe(values);
    EXPECT_EQ(variant.at("mean"), statistics.mean);
    EXPECT_EQ(variant.at("standard_deviation"), statistics.standard_deviation);
    EXPECT_EQ(variant.at("minimum"), statistics.minimum);
    EXPECT_EQ(variant.at("maximum"), statistics.maximum);
    EXPECT_EQ(variant.at("parameter_count"),
              testing::FixtureResult(variant.at("name"), 1).parameter_count);
  }
  EXPECT_EQ(summary.at("variants").at(1).at("name"), "stacked");
  EXPECT_EQ(summary.at("finished_runs"), 9);
}

TEST_F(SummaryTest, HasALineARunInCsv) {
  const std::string csv = SummaryCsv(summaries_);
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 10);
  EXPECT_THAT(csv, HasSubstr("variant,seed,test_rmse,"));
  EXPECT_THAT(csv, HasSubstr(fmt::format("\nstacked,2,{},",
                                         testing::FixtureResult("stacked", 2).test_rmse)));
}

TEST_F(SummaryTest, ShowsMeanDeviationAndRunsOnATerminal) {
  const std::string table = SummaryTable(summaries_);
  const Statistics& rmse = summaries_[0].test_rmse;
  EXPECT_THAT(table, HasSubstr(fmt::format("full     {:.4f} ± {:.4f}  {:.4f}  {:.4f}  ", rmse.mean,
                                           rmse.standard_deviation, rmse.minimum, rmse.maximum)));
}

TEST_F(SummaryTest, WritesADivergedRunAsNull) {
  results_.variants[0].runs[1].test_rmse = std::numeric_limits<double>::quiet_NaN();
  const std::vector<VariantSummary> summaries = SummarizeVariants(results_);
  const json full = SummaryJson(results_, summaries).at("variants").at(0);
  EXPECT_TRUE(full.at("mean").is_null());
  EXPECT_TRUE(full.at("runs").at(1).at("test_rmse").is_null());
  EXPECT_FALSE(full.at("runs").at(0).at("test_rmse").is_null());
}

TEST_F(SummaryTest, LeavesOutVariantsWithoutRuns) {
  results_.variants[1].runs.clear();
  EXPECT_EQ(SummarizeVariants(results_).size(), 2U);
}

}  // namespace
}  // namespace dcn::report
