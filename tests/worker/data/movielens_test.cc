#include "worker/data/movielens.h"

#include <tuple>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/temporary_folder.h"
#include "tests/worker/data/movielens_oracle.h"

namespace dcn::data {
namespace {

using ::dcn::testing::TemporaryFolder;
using ::dcn::testing::WriteText;
using testing::Difference;
using ::testing::ElementsAre;
using testing::kTinyRatings100k;
using testing::kTinyRatings1m;
using testing::kTinyUsers100k;
using testing::kTinyUsers1m;
using testing::ReadObviously;
using testing::Tiny100k;
using testing::Tiny1m;

Result<Dataset> Parse(const MovieLensText& text) { return ParseMovieLens(text, "name", "print"); }

// The message, and "accepted" where there is none.
std::string ErrorOf(const MovieLensText& text) {
  const Result<Dataset> dataset = Parse(text);
  if (dataset.ok()) return "accepted";
  EXPECT_EQ(dataset.status().code(), StatusCode::kDataLoss);
  return dataset.status().message();
}

std::string WithCrLf(std::string_view text) {
  std::string result;
  for (const char c : text) result += c == '\n' ? "\r\n" : std::string(1, c);
  return result;
}

std::string_view WithoutLast(std::string_view text) { return text.substr(0, text.size() - 1); }

TEST(MovieLensTest, EncodesMl1m) {
  const Dataset dataset = Parse(Tiny1m()).value();
  EXPECT_EQ(dataset.name(), "name");
  EXPECT_EQ(dataset.fingerprint(), "print");
  EXPECT_FALSE(dataset.noise_floor_rmse().has_value());
  const auto& v = dataset.vocabularies();
  ASSERT_EQ(v.size(), 6U);
  EXPECT_THAT(v[0].values, ElementsAre("1193", "20", "3", "661"));  // bytewise
  EXPECT_THAT(v[1].values, ElementsAre("1", "10", "2"));            // not 30: no ratings
  EXPECT_THAT(v[2].values, ElementsAre("48067", "70072-1234"));
  EXPECT_THAT(v[3].values, ElementsAre("10", "15", "16"));
  EXPECT_THAT(v[4].values, ElementsAre("0", "1"));
  EXPECT_THAT(v[5].values, ElementsAre("1", "25", "56"));  // as numbers
  EXPECT_THAT(dataset.labels(), ElementsAre(5, 3, 4, 1, 2));
  EXPECT_THAT(dataset.ids(0), ElementsAre(1, 1, 1, 1, 1, 1));
  EXPECT_THAT(dataset.ids(2), ElementsAre(1, 2, 1, 2, 2, 2));
  EXPECT_THAT(dataset.ids(3), ElementsAre(3, 3, 2, 3, 2, 3));
}

TEST(MovieLensTest, EncodesMl100k) {
  const Dataset dataset = Parse(Tiny100k()).value();
  const auto& v = dataset.vocabularies();
  EXPECT_THAT(v[0].values, ElementsAre("242", "302", "50"));
  EXPECT_THAT(v[3].values, ElementsAre("executive", "writer"));
  EXPECT_THAT(v[5].values, ElementsAre("35", "45"));
  EXPECT_THAT(dataset.ids(1), ElementsAre(2, 1, 1, 1, 1, 1));
  EXPECT_THAT(dataset.ids(2), ElementsAre(3, 2, 2, 2, 2, 2));
}

TEST(MovieLensTest, AgreesWithTheObviousReader) {
  for (const MovieLensText& text : {Tiny1m(), Tiny100k()}) {
    EXPECT_EQ(Difference(Parse(text).value(), ReadObviously(text)), "");
  }
}

TEST(MovieLensTest, ToleratesCrLfAndAMissingLastLineEnd) {
  for (const MovieLensText& text : {Tiny1m(), Tiny100k()}) {
    const auto expected = ReadObviously(text);
    const std::string ratings = WithCrLf(text.ratings);
    const std::string users = WithCrLf(text.users);
    const std::pair<std::string_view, std::string_view> variants[] = {
        {ratings, users},
        {WithoutLast(text.ratings), WithoutLast(text.users)},
        {WithoutLast(ratings), WithoutLast(users)},                            // ends in CR
        {WithoutLast(WithoutLast(ratings)), WithoutLast(WithoutLast(users))},  // CRLF before
    };
    for (const auto& [r, u] : variants) {
      MovieLensText variant = text;
      variant.ratings = r;
      variant.users = u;
      const Result<Dataset> dataset = Parse(variant);
      ASSERT_TRUE(dataset.ok()) << dataset.status().message();
      EXPECT_EQ(Difference(*dataset, expected), "");
    }
  }
}

TEST(MovieLensTest, KeepsLatin1Text) {
  const std::string users =
      "186|39|F|ex\xE9"
      "cutive|00000\n196|49|M|writer|T8H1N\n";
  const Dataset dataset = Parse(Tiny100k(kTinyRatings100k, users)).value();
  EXPECT_THAT(dataset.vocabularies()[3].values, ElementsAre("ex\xC3\xA9"
                                                            "cutive",
                                                            "writer"));
}

TEST(MovieLensTest, NamesFileAndLineOfBadInput) {
  const std::string ratings(kTinyRatings1m);
  const std::string users(kTinyUsers1m);
  const std::tuple<std::string, std::string, std::string> cases[] = {
      {"", users, "ratings.dat:1: expected at least one rating, found an empty file"},
      {ratings, "", "users.dat:1: expected at least one user, found an empty file"},
      {ratings + "1::2::9::5\n", users,
       "ratings.dat:6: expected a rating 1, 2, 3, 4 or 5, found \"9\""},
      {ratings + "11::2::4::5\n", users,
       "ratings.dat:6: expected a user of users.dat, found user 11"},
      {ratings + "1::2::4", users,
       "ratings.dat:6: expected 4 fields UserID::MovieID::Rating::Timestamp, found 3 in "
       "\"1::2::4\""},
      {ratings + "\n", users,
       "ratings.dat:6: expected 4 fields UserID::MovieID::Rating::Timestamp, found an empty line"},
      {"\xEF\xBB\xBF" + ratings, users,
       "ratings.dat:1: expected a user id (1 to 4294967295), found \"\\xef\\xbb\\xbf1\""},
      {std::string("\0\1\2\3", 4) + ratings, users,
       "ratings.dat:1: expected text, found byte 0x00 in column 1"},
      {ratings + std::string(5000, '7') + "\n", users,
       "ratings.dat:6: expected a line of at most 256 bytes, found 5000 bytes that start \"" +
           std::string(40, '7') + "\"..."},
      {ratings, users + "2::F::1::10::48067\n",
       "users.dat:5: expected each user once, found user 2 again (first in line 2)"},
      {ratings, users + "5::X::1::10::48067\n",
       "users.dat:5: expected a gender M or F, found \"X\""},
      {ratings, WithCrLf(users) + "5::M::2::10::48067",
       "users.dat:5: expected an age code 1, 18, 25, 35, 45, 50 or 56, found \"2\""},
  };
  for (const auto& [r, u, message] : cases) EXPECT_EQ(ErrorOf(Tiny1m(r, u)), message);
}

TEST(MovieLensTest, NamesTheLineDeepInsideAFile) {
  std::string ratings;
  for (int i = 0; i < 4999; ++i) ratings += "1::1193::5::978300760\n";
  EXPECT_EQ(ErrorOf(Tiny1m(ratings + "1::2::6::978300760\n" + ratings)),
            "ratings.dat:5000: expected a rating 1, 2, 3, 4 or 5, found \"6\"");
}

TEST(MovieLensTest, FingerprintCoversBothFilesAndTheFormat) {
  const std::string base = Fingerprint(Tiny1m());
  EXPECT_EQ(base.size(), 32U);
  EXPECT_EQ(Fingerprint(Tiny1m()), base);
  EXPECT_NE(Fingerprint(Tiny1m(WithoutLast(kTinyRatings1m))), base);
  EXPECT_NE(Fingerprint(Tiny1m(kTinyRatings1m, WithoutLast(kTinyUsers1m))), base);
  MovieLensText other = Tiny1m();
  other.format = MovieLensFormat::kMl100k;
  EXPECT_NE(Fingerprint(other), base);
  other = Tiny1m();
  other.ratings_name = "elsewhere";
  EXPECT_EQ(Fingerprint(other), base);
  // A byte that moves from one file to the other shows.
  EXPECT_NE(Fingerprint(Tiny1m("ab", "c")), Fingerprint(Tiny1m("a", "bc")));
}

TEST(MovieLensFolderTest, FindsTheFormatByItsFiles) {
  const TemporaryFolder folder;
  WriteText(folder.path() / "ratings.dat", kTinyRatings1m);
  WriteText(folder.path() / "users.dat", kTinyUsers1m);
  const MovieLensFolder one = MovieLensFolder::Open(folder.path()).value();
  EXPECT_EQ(one.text().format, MovieLensFormat::kMl1m);
  EXPECT_EQ(one.text().ratings, kTinyRatings1m);
  EXPECT_EQ(one.text().users, kTinyUsers1m);
  EXPECT_EQ(one.text().ratings_name, (folder.path() / "ratings.dat").string());

  const TemporaryFolder other;
  WriteText(other.path() / "u.data", kTinyRatings100k);
  WriteText(other.path() / "u.user", kTinyUsers100k);
  EXPECT_EQ(MovieLensFolder::Open(other.path()).value().text().format, MovieLensFormat::kMl100k);
  EXPECT_EQ(FormatName(MovieLensFormat::kMl1m), "ml-1m");
  EXPECT_EQ(FormatName(MovieLensFormat::kMl100k), "ml-100k");
}

TEST(MovieLensFolderTest, SaysWhatIsMissing) {
  const TemporaryFolder folder;
  const auto expect = [](const std::filesystem::path& path, StatusCode code,
                         const std::string& message) {
    const auto opened = MovieLensFolder::Open(path);
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.status().code(), code);
    EXPECT_EQ(opened.status().message(), path.string() + ": " + message);
  };
  const std::string either =
      "ratings.dat and users.dat (MovieLens-1M) or u.data and u.user (MovieLens-100K)";
  expect(folder.path() / "none", StatusCode::kNotFound,
         "no such folder; expected a folder with " + either);
  expect(folder.path(), StatusCode::kNotFound,
         "expected " + either + ", found neither ratings.dat nor u.data");
  std::filesystem::create_directory(folder.path() / "ml-1m");
  WriteText(folder.path() / "ml-1m" / "ratings.dat", "");
  expect(folder.path(), StatusCode::kNotFound,
         "expected " + either + ", found neither ratings.dat nor u.data (did you mean " +
             (folder.path() / "ml-1m").string() + "?)");
  WriteText(folder.path() / "ratings.dat", kTinyRatings1m);
  expect(folder.path(), StatusCode::kNotFound,
         "expected users.dat beside ratings.dat, found no such file");
  expect(folder.path() / "ratings.dat", StatusCode::kNotFound,
         "is not a folder; expected a folder with " + either);
  WriteText(folder.path() / "u.data", kTinyRatings100k);
  expect(folder.path(), StatusCode::kDataLoss,
         "expected ratings.dat or u.data, found both: keep each data set in a folder of its own");
}

TEST(MovieLensFolderTest, DoesNotTakeAFolderForAFile) {
  const TemporaryFolder folder;
  WriteText(folder.path() / "ratings.dat", kTinyRatings1m);
  std::filesystem::create_directory(folder.path() / "users.dat");
  EXPECT_FALSE(MovieLensFolder::Open(folder.path()).ok());
}

// A file that ends with its memory page: a reader that looks one byte too far is killed.
TEST(MovieLensFolderTest, ReadsFilesThatFillTheirPages) {
  constexpr std::size_t kPage = 4096;
  constexpr std::string_view kShortLine = "1::1::5::1\n";
  constexpr std::string_view kLastLine = "10::1193::5::";
  const TemporaryFolder folder;
  WriteText(folder.path() / "users.dat", kTinyUsers1m);
  for (const std::string_view line_end : {"\n", "\r\n", ""}) {
    std::string ratings;
    // Leaves room for the last line with a time of 1 to 11 digits.
    const std::size_t reserve = kLastLine.size() + 1 + line_end.size();
    while (ratings.size() + kShortLine.size() + reserve <= kPage) ratings += kShortLine;
    ratings += kLastLine;
    ratings += std::string(kPage - ratings.size() - line_end.size(), '7');
    ratings += line_end;
    ASSERT_EQ(ratings.size(), kPage);
    std::filesystem::remove(folder.path() / "ratings.dat");
    WriteText(folder.path() / "ratings.dat", ratings);
    const MovieLensFolder opened = MovieLensFolder::Open(folder.path()).value();
    const Result<Dataset> dataset = Parse(opened.text());
    ASSERT_TRUE(dataset.ok()) << dataset.status().message();
    EXPECT_EQ(Difference(*dataset, ReadObviously(opened.text())), "");
  }
}

}  // namespace
}  // namespace dcn::data
