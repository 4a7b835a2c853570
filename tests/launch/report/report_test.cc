#include "launch/report/report.h"

#include <regex>
#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "launch/sweep/run_plan.h"
#include "tests/launch/fixture_sweep.h"
#include "tests/launch/report/count_of.h"
#include "tests/testing/command.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::report {
namespace {

using testing::CountOf;
using ::testing::HasSubstr;
using ::testing::Not;

class ReportTest : public ::testing::Test {
 protected:
  void SetUp() override { testing::WriteFixtureSweep(folder_.path(), {1, 2, 3}); }

  std::string Render() const {
    const Result<SweepResults> results = ReadSweepResults(folder_.path());
    EXPECT_TRUE(results.ok()) << results.status().ToString();
    return results.ok() ? RenderReport(*results) : "";
  }

  const testing::TemporaryFolder folder_;
};

TEST_F(ReportTest, ShowsEverythingOfTheSweep) {
  const std::string html = Render();
  EXPECT_THAT(html, HasSubstr("<h1>Feature importance with a Deep &amp; Cross Network "
                              "&lt;fixture&gt;</h1>"));
  EXPECT_THAT(html, HasSubstr("9 of 9 runs · ml-1m: 1,000,209 ratings, 750,156 for training"));
  EXPECT_THAT(html, HasSubstr("last run ended 2025-03-01 12:34 UTC"));
  EXPECT_EQ(CountOf(html, "<circle class=\"run\""), 9U);
  EXPECT_EQ(CountOf(html, "<figure class=\"loss\">"), 3U);
  // Three layers (full; stacked 1 and 2), three maps of 6 x 6 each.
  EXPECT_EQ(CountOf(html, "<figure class=\"map\">"), 9U);
  EXPECT_EQ(CountOf(html, "<g class=\"cell\">"), 9U * 36U);
  EXPECT_THAT(html, HasSubstr("Kernel W = U V of rank 3."));
  EXPECT_THAT(html, HasSubstr("Without a cross layer: deep."));
  EXPECT_THAT(html, HasSubstr("505,249"));
  EXPECT_THAT(html, HasSubstr("Example CPU @ 2.90 GHz"));
  EXPECT_THAT(html, HasSubstr("00112233445566778899aabbccddeeff"));
  EXPECT_THAT(html, HasSubstr("batch-size = 8192"));
  EXPECT_THAT(html, Not(HasSubstr("class=\"notice\"")));
}

// What a screen reader is told of each picture: there are tables with its numbers.
TEST_F(ReportTest, HasTheNumbersOfEveryPictureInATable) {
  const std::string html = Render();
  for (const char* caption :
       {"Block norms of full", "Block norms of stacked, layer 1", "Block norms of stacked, layer 2",
        "Asymmetry |(i, j) − (j, i)| of full", "Asymmetry |(i, j) − (j, i)| of stacked, layer 1",
        "Asymmetry |(i, j) − (j, i)| of stacked, layer 2", "Training loss", "Every run"}) {
    EXPECT_EQ(CountOf(html, fmt::format("<caption>{}</caption>", caption)), 1U) << caption;
  }
  EXPECT_THAT(html, HasSubstr("<th scope=\"row\">2</th><td>0.8300&nbsp;±&nbsp;0.0000</td>"));
}

TEST_F(ReportTest, NeedsNothingFromOutsideAndNoScript) {
  const std::string html = Render();
  for (const char* forbidden :
       {"http:", "https:", "<script", "@import", "url(", "<img", "<iframe", "src=", "onload"}) {
    EXPECT_THAT(html, Not(HasSubstr(forbidden))) << forbidden;
  }
}

// Every element that is opened is closed, in order.
TEST_F(ReportTest, IsWellFormed) {
  const std::string html = Render();
  const std::set<std::string> empty = {"meta", "link", "br", "line", "rect", "circle", "polyline"};
  std::vector<std::string> open;
  const std::regex tag("<(/?)([a-z][a-z0-9]*)[^<>]*>");
  const std::string body = std::regex_replace(html, std::regex("<style>[^<]*</style>"), "");
  for (std::sregex_iterator it(body.begin(), body.end(), tag); it != std::sregex_iterator(); ++it) {
    const std::string name = (*it)[2];
    if (empty.contains(name)) continue;
    if ((*it)[1].length() == 0) {
      open.push_back(name);
    } else {
      ASSERT_FALSE(open.empty()) << it->str();
      ASSERT_EQ(open.back(), name) << "at byte " << it->position();
      open.pop_back();
    }
  }
  EXPECT_TRUE(open.empty());
  EXPECT_THAT(html, Not(HasSubstr("nan")));
}

TEST_F(ReportTest, IsTheSameForTheSameResults) { EXPECT_EQ(Render(), Render()); }

TEST_F(ReportTest, SaysWhenTheSweepIsNotFinished) {
  std::filesystem::remove_all(sweep::RunFolder(folder_.path(), "full", 1));
  const std::string html = Render();
  EXPECT_THAT(html, HasSubstr("8 of 9 runs"));
  EXPECT_THAT(html, HasSubstr("The sweep is not finished"));
  EXPECT_THAT(html, HasSubstr("<th scope=\"col\">Runs</th>"));  // the counts differ now
}

TEST_F(ReportTest, SaysWhenDataIsSyntheticAndHowGoodAPredictionCanBe) {
  Result<SweepResults> results = ReadSweepResults(folder_.path());
  ASSERT_TRUE(results.ok());
  for (VariantResults& variant : results->variants) {
    for (output::RunResult& result : variant.runs) {
      result.data.name = "synthetic";
      result.data.noise_floor_rmse = 0.87125;
    }
  }
  const std::string html = RenderReport(*results);
  EXPECT_THAT(html, HasSubstr("Synthetic data: the numbers say nothing about MovieLens."));
  EXPECT_THAT(html, HasSubstr("No prediction can do better than 0.8712"));
}

TEST_F(ReportTest, HasNoDeviationMapOfOneRun) {
  const testing::TemporaryFolder folder;
  testing::WriteFixtureSweep(folder.path(), {1});
  const Result<SweepResults> results = ReadSweepResults(folder.path());
  ASSERT_TRUE(results.ok());
  const std::string html = RenderReport(*results);
  EXPECT_EQ(CountOf(html, "<figure class=\"map\">"), 6U);
  EXPECT_THAT(html, HasSubstr("over 1 run."));
}

TEST_F(ReportTest, RefusesToReportNothing) {
  for (const char* variant : {"full", "stacked", "deep"}) {
    std::filesystem::remove_all(folder_.path() / variant);
  }
  const Result<SweepResults> results = ReadSweepResults(folder_.path());
  ASSERT_TRUE(results.ok());
  const Status status = WriteReport(*results, folder_.path());
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr("no run of the sweep is finished"));
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "report.html"));
}

TEST_F(ReportTest, IsRebuiltByDcnReport) {
  const auto result = testing::RunCommand({testing::BuiltProgram("dcn_report"), folder_.path()});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(testing::ReadText(folder_.path() / "report.html"), Render());
  EXPECT_THAT(testing::ReadText(folder_.path() / "summary.csv"), HasSubstr("\nstacked,3,"));
  EXPECT_THAT(result.out, HasSubstr("report.html"));
  const auto absent =
      testing::RunCommand({testing::BuiltProgram("dcn_report"), folder_.path() / "absent"});
  EXPECT_EQ(absent.exit_code, 3);
  EXPECT_THAT(absent.err, HasSubstr("absent"));
  EXPECT_EQ(testing::RunCommand({testing::BuiltProgram("dcn_report")}).exit_code, 2);
}

}  // namespace
}  // namespace dcn::report
