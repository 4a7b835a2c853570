#include "common/file/json.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dcn {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(ParseJsonTest, TakesWellFormedDocuments) {
  for (const char* text : {"null", "3", "\"\\u00e9\"", "[]", "{}", " {\"a\": [1, 2.5, {}]} \n"}) {
    const auto document = ParseJson(text, "a.json");
    ASSERT_TRUE(document.ok()) << document.status().ToString();
    EXPECT_EQ(*document, nlohmann::json::parse(text));
  }
}

TEST(ParseJsonTest, NamesFileAndPlaceOfWhatIsMalformed) {
  const struct {
    const char* text;
    const char* place;
  } cases[] = {{"", "a.json: byte 1:"},         {"{\"a\": }", "a.json: byte 7:"},
               {"[1, 2", "a.json: byte 6:"},    {"{} x", "a.json: byte 4:"},
               {"\"\xff\"", "a.json: byte 2:"}, {"nul", "a.json: byte 4:"},
               {"[1e999]", "a.json: "}};
  for (const auto& [text, place] : cases) {
    const auto document = ParseJson(text, "a.json");
    EXPECT_EQ(document.status().code(), StatusCode::kDataLoss) << text;
    EXPECT_THAT(document.status().message(), StartsWith(place));
  }
}

TEST(ParseJsonTest, AZeroByteIsNoEnd) {
  const auto document = ParseJson(std::string_view("{}\0\0", 4), "a.json");
  EXPECT_EQ(document.status().code(), StatusCode::kDataLoss);
  EXPECT_THAT(document.status().message(), StartsWith("a.json: byte 3:"));
}

TEST(ParseJsonTest, BoundsTheNesting) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_TRUE(ParseJson(nested(kMaxJsonDepth), "a.json").ok());
  for (const std::size_t depth : {std::size_t{kMaxJsonDepth} + 1, std::size_t{100'000}}) {
    const auto document = ParseJson(nested(depth), "a.json");
    EXPECT_EQ(document.status().code(), StatusCode::kDataLoss);
    EXPECT_THAT(document.status().message(), HasSubstr("deeper than 64"));
  }
}

}  // namespace
}  // namespace dcn
