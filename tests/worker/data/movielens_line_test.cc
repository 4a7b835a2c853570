#include "worker/data/movielens_line.h"

#include <utility>

#include <gtest/gtest.h>

namespace dcn::data {
namespace {

constexpr auto kMl1m = MovieLensFormat::kMl1m;
constexpr auto kMl100k = MovieLensFormat::kMl100k;

std::string RatingError(MovieLensFormat format, std::string_view line) {
  const Result<RatingLine> rating = ParseRating(format, line, {"f", 7});
  if (rating.ok()) return "accepted";
  EXPECT_EQ(rating.status().code(), StatusCode::kDataLoss);
  return rating.status().message();
}

std::string UserError(MovieLensFormat format, std::string_view line) {
  const Result<UserLine> user = ParseUser(format, line, {"f", 7});
  if (user.ok()) return "accepted";
  EXPECT_EQ(user.status().code(), StatusCode::kDataLoss);
  return user.status().message();
}

TEST(MovieLensLineTest, ReadsRatingsOfBothFormats) {
  const std::pair<MovieLensFormat, std::string_view> lines[] = {
      {kMl1m, "6040::1097::4::956715569"}, {kMl100k, "6040\t1097\t4\t956715569"}};
  for (const auto& [format, line] : lines) {
    const RatingLine rating = ParseRating(format, line, {"f", 1}).value();
    EXPECT_EQ(rating.user, 6040U);
    EXPECT_EQ(rating.movie, 1097U);
    EXPECT_EQ(rating.rating, 4U);
  }
}

TEST(MovieLensLineTest, ReadsTheLargestNumbers) {
  const RatingLine rating =
      ParseRating(kMl1m, "4294967295::4294967295::5::99999999999", {"f", 1}).value();
  EXPECT_EQ(rating.user, 4294967295U);
  EXPECT_EQ(rating.movie, 4294967295U);
  EXPECT_EQ(ParseRating(kMl1m, "1::1::1::0", {"f", 1}).value().rating, 1U);
}

TEST(MovieLensLineTest, ReadsUsersOfBothFormats) {
  const UserLine one = ParseUser(kMl1m, "2::M::56::16::70072", {"f", 1}).value();
  EXPECT_EQ(one.user, 2U);
  EXPECT_TRUE(one.is_male);
  EXPECT_EQ(one.age_bucket, 56U);
  EXPECT_EQ(one.occupation, "16");
  EXPECT_EQ(one.zip, "70072");
  const UserLine other = ParseUser(kMl100k, "2|53|F|other|T8H1N", {"f", 1}).value();
  EXPECT_EQ(other.user, 2U);
  EXPECT_FALSE(other.is_male);
  EXPECT_EQ(other.age_bucket, 50U);
  EXPECT_EQ(other.occupation, "other");
  EXPECT_EQ(other.zip, "T8H1N");
}

TEST(MovieLensLineTest, BucketsAgesByTheirLowerBounds) {
  const std::pair<int, std::uint32_t> ages[] = {
      {1, 1},   {7, 1},   {17, 1},  {18, 18}, {24, 18}, {25, 25}, {34, 25}, {35, 35}, {44, 35},
      {45, 45}, {49, 45}, {50, 50}, {55, 50}, {56, 56}, {57, 56}, {73, 56}, {150, 56}};
  for (const auto& [years, bucket] : ages) {
    const std::string line = fmt::format("1|{}|M|writer|1", years);
    EXPECT_EQ(ParseUser(kMl100k, line, {"f", 1}).value().age_bucket, bucket) << years;
  }
}

TEST(MovieLensLineTest, TurnsLatin1IntoUtf8) {
  EXPECT_EQ(ParseUser(kMl100k, "1|20|M|caf\xE9|Z\xFC", {"f", 1}).value().occupation, "caf\xC3\xA9");
  EXPECT_EQ(ParseUser(kMl100k, "1|20|M|caf\xE9|Z\xFC", {"f", 1}).value().zip, "Z\xC3\xBC");
}

TEST(MovieLensLineTest, SaysWhatIsWrongWithARating) {
  constexpr std::string_view k4 = "f:7: expected 4 fields UserID::MovieID::Rating::Timestamp, ";
  const std::string user = "f:7: expected a user id (1 to 4294967295), found ";
  const std::string movie = "f:7: expected a movie id (1 to 4294967295), found ";
  const std::string rating = "f:7: expected a rating 1, 2, 3, 4 or 5, found ";
  const std::string time = "f:7: expected a timestamp in seconds (0 to 99999999999), found ";
  const std::pair<std::string_view, std::string> cases[] = {
      {"", std::string(k4) + "found an empty line"},
      {"1::2::3", std::string(k4) + "found 3 in \"1::2::3\""},
      {"1::2::3::4::5::6", std::string(k4) + "found 6 in \"1::2::3::4::5::6\""},
      {"1\t2\t3\t4", std::string(k4) + "found 1 in \"1\\x092\\x093\\x094\""},
      {"1:2:3:4", std::string(k4) + "found 1 in \"1:2:3:4\""},
      {"::2::3::4", user + "\"\""},
      {"0::2::3::4", user + "\"0\""},
      {"-1::2::3::4", user + "\"-1\""},
      {"+1::2::3::4", user + "\"+1\""},
      {" 1::2::3::4", user + "\" 1\""},
      {"01::2::3::4", user + "\"01\""},
      {"1.0::2::3::4", user + "\"1.0\""},
      {"4294967296::2::3::4", user + "\"4294967296\""},
      {"99999999999999999999999::2::3::4", user + "\"99999999999999999999999\""},
      {"1::x::3::4", movie + "\"x\""},
      {"1::0::3::4", movie + "\"0\""},
      {"1::2:::3::4", rating + "\":3\""},
      {"1::2::9::4", rating + "\"9\""},
      {"1::2::0::4", rating + "\"0\""},
      {"1::2::6::4", rating + "\"6\""},
      {"1::2::3.5::4", rating + "\"3.5\""},
      {"1::2::::4", rating + "\"\""},
      {"1::2::-3::4", rating + "\"-3\""},
      {"1::2::3::", time + "\"\""},
      {"1::2::3::4 ", time + "\"4 \""},
      {"1::2::3::100000000000", time + "\"100000000000\""},
      {"1::2::3::abc\"\\", time + "\"abc\\\"\\\\\""},
  };
  for (const auto& [line, message] : cases) EXPECT_EQ(RatingError(kMl1m, line), message);
  EXPECT_EQ(RatingError(kMl100k, "1::2::3::4"),
            "f:7: expected 4 fields user<TAB>movie<TAB>rating<TAB>timestamp, found 1 in "
            "\"1::2::3::4\"");
}

TEST(MovieLensLineTest, SaysWhatIsWrongWithAUser) {
  constexpr std::string_view k1m =
      "f:7: expected 5 fields UserID::Gender::Age::Occupation::Zip-code, ";
  const std::string age = "f:7: expected an age code 1, 18, 25, 35, 45, 50 or 56, found ";
  const std::string occupation = "f:7: expected an occupation of 1 to 64 characters, found ";
  const std::string zip = "f:7: expected a zip code of 1 to 64 characters, found ";
  const std::string long_text(65, 'z');
  const std::string shown = "\"" + std::string(40, 'z') + "\"...";
  const std::pair<std::string, std::string> cases[] = {
      {"", std::string(k1m) + "found an empty line"},
      {"1::F::1::10", std::string(k1m) + "found 4 in \"1::F::1::10\""},
      {"1::F::1::10::48067::x", std::string(k1m) + "found 6 in \"1::F::1::10::48067::x\""},
      {"x::F::1::10::48067", "f:7: expected a user id (1 to 4294967295), found \"x\""},
      {"1::f::1::10::48067", "f:7: expected a gender M or F, found \"f\""},
      {"1::::1::10::48067", "f:7: expected a gender M or F, found \"\""},
      {"1::F::2::10::48067", age + "\"2\""},
      {"1::F::::10::48067", age + "\"\""},
      {"1::F::018::10::48067", age + "\"018\""},
      {"1::F::1::::48067", occupation + "\"\""},
      {"1::F::1::" + long_text + "::48067", occupation + shown},
      {"1::F::1::10::", zip + "\"\""},
      {"1::F::1::10::" + long_text, zip + shown},
  };
  for (const auto& [line, message] : cases) EXPECT_EQ(UserError(kMl1m, line), message);
  const std::string years = "f:7: expected an age in years (1 to 150), found ";
  EXPECT_EQ(UserError(kMl100k, "1|0|M|x|y"), years + "\"0\"");
  EXPECT_EQ(UserError(kMl100k, "1|151|M|x|y"), years + "\"151\"");
  EXPECT_EQ(UserError(kMl100k, "1|M|24|x|y"), "f:7: expected a gender M or F, found \"24\"");
}

TEST(MovieLensLineTest, RefusesLinesThatAreNoText) {
  const std::string zero("1::2\0::3::4", 11);
  EXPECT_EQ(RatingError(kMl1m, zero), "f:7: expected text, found byte 0x00 in column 5");
  EXPECT_EQ(RatingError(kMl1m, "1::2\r::3::4"), "f:7: expected text, found byte 0x0d in column 5");
  EXPECT_EQ(UserError(kMl100k, "1|20|M|\x1b[2J|y"),
            "f:7: expected text, found byte 0x1b in column 8");
  EXPECT_EQ(UserError(kMl100k, "1|20|M|\x9f|y"), "f:7: expected text, found byte 0x9f in column 8");
}

TEST(MovieLensLineTest, LimitsTheLengthOfALine) {
  // A zip code of the wrong length is found in a line of 256 bytes, and not looked for in one more.
  const std::string start = "1|20|M|x|";
  const std::string longest = start + std::string(kMaxLineBytes - start.size(), 'z');
  EXPECT_EQ(
      UserError(kMl100k, longest),
      "f:7: expected a zip code of 1 to 64 characters, found \"" + std::string(40, 'z') + "\"...");
  EXPECT_EQ(UserError(kMl100k, longest + "z"),
            "f:7: expected a line of at most 256 bytes, found 257 bytes that start \"" + start +
                std::string(40 - start.size(), 'z') + "\"...");
}

TEST(MovieLensLineTest, ReadsLinesWithAnyLineEnd) {
  LineReader reader("a\r\nb\n\nc\rd\r");
  std::string_view line;
  for (const std::string_view expected : {"a", "b", "", "c\rd"}) {
    ASSERT_TRUE(reader.Next(line));
    EXPECT_EQ(line, expected);
  }
  EXPECT_EQ(reader.line_number(), 4U);
  EXPECT_FALSE(reader.Next(line));
  LineReader empty("");
  EXPECT_FALSE(empty.Next(line));
  EXPECT_EQ(empty.line_number(), 0U);
}

}  // namespace
}  // namespace dcn::data
