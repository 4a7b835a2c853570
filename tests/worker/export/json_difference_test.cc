#include "worker/export/json_difference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dcn::output {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

std::string Describe(const json& first, const json& second) {
  return DescribeDifferences(first, "there", second, "now");
}

TEST(DescribeDifferencesTest, IsEmptyForEqualValues) {
  EXPECT_EQ(Describe(json::object(), json::object()), "");
  EXPECT_EQ(Describe({{"a", {{"b", 1}}}}, {{"a", {{"b", 1}}}}), "");
}

TEST(DescribeDifferencesTest, NamesFieldsAtAnyDepthWithBothValues) {
  EXPECT_EQ(Describe({{"a", 1}, {"m", {{"deep", {1, 2}}}}}, {{"a", 2}, {"m", {{"deep", {1}}}}}),
            "a: 1 there, 2 now; m.deep: [1,2] there, [1] now");
}

TEST(DescribeDifferencesTest, SaysWhatIsAbsent) {
  EXPECT_EQ(Describe({{"a", 1}}, {{"b", 2}}), "b: absent there, 2 now; a: 1 there, absent now");
}

TEST(DescribeDifferencesTest, CutsLongListsAndLongValues) {
  json first;
  json second;
  for (const char* name : {"a", "b", "c", "d", "e", "f"}) {
    first[name] = 1;
    second[name] = 2;
  }
  EXPECT_THAT(Describe(first, second), HasSubstr("d: 1 there, 2 now; and 2 more"));
  EXPECT_LT(Describe({{"a", std::string(1000, 'x')}}, {{"a", 1}}).size(), 120U);
}

}  // namespace
}  // namespace dcn::output
