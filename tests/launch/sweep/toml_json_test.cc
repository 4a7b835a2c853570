#include "launch/sweep/toml_json.h"

#include <gtest/gtest.h>

namespace dcn::sweep {
namespace {

using nlohmann::json;

TEST(TomlJsonTest, ComesBackTheSame) {
  const json cases[] = {
      json::object(),
      {{"epochs", 2}, {"predictions", true}, {"quiet", false}, {"model", "dcn"}},
      {{"learning-rate", 0.01}, {"train-fraction", 0.8}, {"whole", 3.0}, {"tiny", 1e-300}},
      {{"negative", -5}, {"big", 9007199254740993}, {"huge", 1e300}},
      {{"text", "quote \" backslash \\ tab \t newline \n bell \a delete \x7f é"}},
      {{"odd key", 1}, {"dotted.key", 2}, {"", 3}},
      {{"empty", json::array()}, {"list", {1, 2, 3}}, {"nested", {{1, 2}, {3}}}},
      {{"model",
        {{"name", "m"},
         {"deep", {192, 192}},
         {"embedding-dimension", {{"user id", 64}}},
         {"cross", {{{"projection-dimension", 20}}, {{"diag-scale", 0.5}, {"x", {{"y", 1}}}}}}}},
       {"after", 1}},
      {{"mixed", {1, {{"a", 2}}}}},
  };
  for (const json& options : cases) {
    const std::string text = TomlFromJson(options);
    const toml::table table = toml::parse(text);
    const Result<json> back = JsonFromToml(table);
    ASSERT_TRUE(back.ok()) << back.status().ToString() << "\n" << text;
    EXPECT_EQ(*back, options) << text;
  }
}

TEST(TomlJsonTest, KeepsFloatsFloatsAndShort) {
  EXPECT_EQ(TomlFromJson({{"a", 3.0}, {"b", 0.8}, {"c", 3}}), "a = 3.0\nb = 0.8\nc = 3\n");
}

TEST(TomlJsonTest, RefusesWhatNoOptionIs) {
  for (const char* text : {"a = 1979-05-27", "a = 07:32:00", "a = 1979-05-27T07:32:00Z", "a = inf",
                           "a = nan", "a = [1, inf]", "a = { b = nan }"}) {
    const toml::table table = toml::parse(text);
    const Result<json> options = JsonFromToml(table);
    ASSERT_FALSE(options.ok()) << text;
    EXPECT_EQ(options.status().code(), StatusCode::kInvalidArgument);
    EXPECT_TRUE(options.status().message().starts_with("line 1: ")) << options.status().message();
  }
}

}  // namespace
}  // namespace dcn::sweep
