#include "launch/report/settings_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/launch/fixture_sweep.h"

namespace dcn::report {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

TEST(FlattenTest, NamesLeavesByTheirPath) {
  EXPECT_THAT(
      Flatten({{"b", {{"c", {1, 2}}, {"a", "text"}}}, {"a", 0.5}, {"e", json::object()}}),
      ElementsAre(Pair("a", "0.5"), Pair("b.a", "text"), Pair("b.c", "[1,2]"), Pair("e", "{}")));
  EXPECT_TRUE(Flatten(json::object()).empty());
}

class SettingsTest : public ::testing::Test {
 protected:
  SettingsTest() {
    for (const char* name : {"full", "deep"}) {
      results_.variants.emplace_back();
      results_.variants.back().name = name;
      results_.variants.back().runs = {testing::FixtureResult(name, 1),
                                       testing::FixtureResult(name, 2)};
    }
  }

  SweepResults results_;
};

TEST_F(SettingsTest, ShareACellWhereTheyAgree) {
  results_.variants[1].runs[0].configuration["only_here"] = "<x>";
  const std::string table = ConfigurationTable(SummarizeVariants(results_));
  EXPECT_THAT(table, HasSubstr("<th scope=\"row\">epochs</th><td colspan=\"2\">2</td>"));
  EXPECT_THAT(table, HasSubstr("<th scope=\"row\">model.name</th><td>full</td><td>deep</td>"));
  EXPECT_THAT(table, HasSubstr("<th scope=\"row\">only_here</th><td></td><td>&lt;x&gt;</td>"));
  EXPECT_THAT(table, Not(HasSubstr(">seed<")));
}

TEST_F(SettingsTest, NameEveryMachineAndVersionOnce) {
  results_.variants[1].runs[1].machine.cpu_model = "Another CPU";
  results_.variants[0].runs[0].versions["dcn"] = "0.2.0";
  const std::string table = MachineTable(SummarizeVariants(results_));
  EXPECT_THAT(table, HasSubstr("Another CPU, 2 cores; 1 thread a run<br>Example CPU @ 2.90 GHz, 2 "
                               "cores; 1 thread a run</td>"));
  EXPECT_THAT(table, HasSubstr("<th scope=\"row\">dcn</th><td>0.1.0<br>0.2.0</td>"));
  EXPECT_THAT(table, HasSubstr("<td>24.0 GiB</td>"));
}

}  // namespace
}  // namespace dcn::report
