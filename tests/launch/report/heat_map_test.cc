#include "launch/report/heat_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/launch/report/count_of.h"

namespace dcn::report {
namespace {

using testing::CountOf;
using ::testing::HasSubstr;
using ::testing::Not;

const std::vector<std::string> kTwo = {"movie_id", "<user>"};
const SquareMap kMap = {2, {1, 6.8, 3, 2}};

std::vector<std::string> Features(std::size_t count) {
  std::vector<std::string> names;
  for (std::size_t k = 0; k < count; ++k) names.push_back("feature_" + std::to_string(k));
  return names;
}

TEST(HeatMapTest, HasEveryCellWithItsNumberAndItsName) {
  const std::string figure = HeatMapFigure(kMap, kTwo, {"Title", "mean", Ramp::kBlue, false});
  EXPECT_EQ(CountOf(figure, "<g class=\"cell\">"), 4U);
  EXPECT_THAT(figure, HasSubstr("<title>movie_id × &lt;user&gt;: mean 6.80</title>"));
  EXPECT_THAT(figure, HasSubstr("<title>&lt;user&gt; × movie_id: mean 3.00</title>"));
  EXPECT_EQ(CountOf(figure, "class=\"number\""), 4U);
  EXPECT_THAT(figure, Not(HasSubstr("<user>")));
}

TEST(HeatMapTest, ColoursFromTheSmallestOrFromZero) {
  const std::string from_smallest =
      HeatMapFigure(kMap, kTwo, {"Title", "mean", Ramp::kBlue, false});
  EXPECT_THAT(from_smallest, HasSubstr("movie_id × movie_id: mean 1.00</title><rect"));
  // The smallest value has the lightest colour, the largest the darkest, with white numbers.
  EXPECT_THAT(from_smallest, HasSubstr("fill=\"#f7fbff\"/><text"));
  EXPECT_THAT(from_smallest, HasSubstr("fill=\"#08306b\"/><text"));
  EXPECT_THAT(from_smallest, HasSubstr("fill:#ffffff\">6.80"));
  EXPECT_THAT(from_smallest, HasSubstr("fill:#000000\">1.00"));
  const std::string from_zero = HeatMapFigure(kMap, kTwo, {"Title", "mean", Ramp::kBlue, true});
  EXPECT_THAT(from_zero, Not(HasSubstr("fill=\"#f7fbff\"/><text")));
}

TEST(HeatMapTest, DrawsAMapWithoutDifferences) {
  const SquareMap constant = {2, {0, 0, 0, 0}};
  const std::string figure = HeatMapFigure(constant, kTwo, {"Title", "sd", Ramp::kPurple, true});
  EXPECT_EQ(CountOf(figure, "fill=\"#fcfbfd\"/><text"), 4U);
  EXPECT_THAT(figure, Not(HasSubstr("nan")));
}

TEST(HeatMapTest, LeavesNumbersToTheHoverWhereCellsAreSmall) {
  for (const std::size_t count : {1U, 6U, 7U, 30U}) {
    const SquareMap map = {count, std::vector<double>(count * count, 1.5)};
    const std::string figure =
        HeatMapFigure(map, Features(count), {"Title", "mean", Ramp::kGreen, false});
    EXPECT_EQ(CountOf(figure, "<g class=\"cell\">"), count * count);
    EXPECT_EQ(CountOf(figure, "class=\"number\""), count <= 7 ? count * count : 0);
    EXPECT_EQ(CountOf(figure, "</title>"), count * count);
  }
}

TEST(HeatMapTest, ShortensLongNames) {
  const std::vector<std::string> names = {"a_feature_with_a_name_that_takes_too_much_room"};
  const std::string figure =
      HeatMapFigure({1, {1.0}}, names, {"Title", "mean", Ramp::kBlue, false});
  EXPECT_EQ(CountOf(figure, "a_feature_with_a_name_t…"), 2U);  // row and column
  EXPECT_THAT(figure, HasSubstr("<title>" + names[0] + " × "));
}

class HeatMapNumbersTest : public ::testing::Test {
 protected:
  const MapStatistics statistics_ = {kMap, {2, {0.1, 0.25, 0.3, 0.4}}, {2, {0, 3.8, 3.8, 0}}};
};

TEST_F(HeatMapNumbersTest, StandInATableWithHeaders) {
  const std::string table = HeatMapTable(statistics_, kTwo, 5, "Block norms of <dcn>");
  EXPECT_THAT(table, HasSubstr("<caption>Block norms of &lt;dcn&gt;</caption>"));
  EXPECT_THAT(table, HasSubstr("<th scope=\"col\">&lt;user&gt;</th>"));
  EXPECT_THAT(table, HasSubstr("<th scope=\"row\">movie_id</th><td>1.00&nbsp;±&nbsp;0.10</td>"
                               "<td>6.80&nbsp;±&nbsp;0.25</td>"));
  EXPECT_THAT(HeatMapTable(statistics_, kTwo, 1, ""), Not(HasSubstr("±")));
}

TEST_F(HeatMapNumbersTest, StandInATableOfTheAsymmetry) {
  const std::string table = AsymmetryTable(statistics_, kTwo, "Asymmetry of <dcn>");
  EXPECT_THAT(table, HasSubstr("<caption>Asymmetry of &lt;dcn&gt;</caption>"));
  EXPECT_THAT(table,
              HasSubstr("<th scope=\"col\">movie_id</th><th scope=\"col\">&lt;user&gt;</th>"));
  EXPECT_THAT(table, HasSubstr("<th scope=\"row\">movie_id</th><td>0.00</td><td>3.80</td>"));
  EXPECT_THAT(table, HasSubstr("<th scope=\"row\">&lt;user&gt;</th><td>3.80</td><td>0.00</td>"));
}

TEST_F(HeatMapNumbersTest, NameTheStrongestPairs) {
  EXPECT_EQ(StrongestPairs(statistics_, kTwo, 5, 2),
            "<b>movie_id × &lt;user&gt;</b> 6.80&nbsp;±&nbsp;0.25; "
            "<b>&lt;user&gt; × movie_id</b> 3.00&nbsp;±&nbsp;0.30");
  EXPECT_EQ(CountOf(StrongestPairs(statistics_, kTwo, 1, 9), "<b>"), 4U);
}

}  // namespace
}  // namespace dcn::report
