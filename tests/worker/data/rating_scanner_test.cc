#include "worker/data/rating_scanner.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/random.h"

namespace dcn::data {
namespace {

IdIndex SomeUsers() {
  IdIndex users;
  for (const std::uint32_t id : {7U, 1U, 123456789U, 4294967295U, 23U}) users.FindOrAdd(id);
  return users;
}

// Line by line through ParseRating: the definition.
Result<ScannedRatings> ScanObviously(MovieLensFormat format, std::string_view text,
                                     const IdIndex& users) {
  ScannedRatings scanned;
  LineReader reader(text);
  for (std::string_view line; reader.Next(line);) {
    const LinePlace place{"r", reader.line_number()};
    DCN_ASSIGN_OR_RETURN(const RatingLine rating, ParseRating(format, line, place));
    const std::uint32_t user = users.Find(rating.user);
    if (user == IdIndex::kAbsent) {
      return LineError(place, "a user of u", fmt::format("user {}", rating.user));
    }
    scanned.ratings.push_back({user, scanned.movies.FindOrAdd(rating.movie), rating.rating});
  }
  if (scanned.ratings.empty()) return LineError({"r", 1}, "at least one rating", "an empty file");
  return scanned;
}

// Both ways on a copy that ends where its memory ends, so that a sanitizer sees a look beyond.
void ExpectTheSame(MovieLensFormat format, std::string_view text) {
  const auto copy = std::make_unique<char[]>(text.size() + 1);
  std::memcpy(copy.get() + 1, text.data(), text.size());
  const std::string_view copied(copy.get() + 1, text.size());
  const IdIndex users = SomeUsers();
  const Result<ScannedRatings> scanned = ScanRatings(format, copied, "r", users, "u");
  const Result<ScannedRatings> expected = ScanObviously(format, copied, users);
  ASSERT_EQ(scanned.ok(), expected.ok()) << (scanned.ok() ? expected : scanned).status().message();
  if (!expected.ok()) {
    ASSERT_EQ(scanned.status().message(), expected.status().message());
    return;
  }
  ASSERT_EQ(scanned->movies.ids(), expected->movies.ids());
  ASSERT_EQ(scanned->ratings.size(), expected->ratings.size());
  for (std::size_t i = 0; i < scanned->ratings.size(); ++i) {
    ASSERT_EQ(scanned->ratings[i].user, expected->ratings[i].user) << i;
    ASSERT_EQ(scanned->ratings[i].movie, expected->ratings[i].movie) << i;
    ASSERT_EQ(scanned->ratings[i].rating, expected->ratings[i].rating) << i;
  }
}

constexpr MovieLensFormat kFormats[] = {MovieLensFormat::kMl1m, MovieLensFormat::kMl100k};
constexpr std::string_view kSeparators[] = {"::", "\t"};

std::string Joined(MovieLensFormat format, std::initializer_list<std::string_view> fields) {
  std::string line;
  for (const std::string_view field : fields) {
    if (field.data() != fields.begin()->data()) line += kSeparators[static_cast<int>(format)];
    line += field;
  }
  return line;
}

// Any one field set to any of these, in the fast part of the file and at its slow end.
TEST(RatingScannerTest, TakesAndRefusesWhatParseRatingDoes) {
  const std::string_view odd[] = {"",  "0",   "1",         "5",          "6",           "9",
                                  "7", "23",  "123456789", "4294967295", "4294967296",  "01",
                                  "x", "1x",  " 1",        "1 ",         "-1",          "1.0",
                                  ":", "\t7", "999999999", "9999999999", "99999999999", "1\r"};
  for (const MovieLensFormat format : kFormats) {
    const std::string filler = Joined(format, {"7", "1193", "4", "978300760"}) + "\n";
    for (std::size_t place = 0; place < 4; ++place) {
      for (const std::string_view text : odd) {
        std::string_view fields[] = {"7", "1193", "4", "978300760"};
        fields[place] = text;
        const std::string line = Joined(format, {fields[0], fields[1], fields[2], fields[3]});
        for (const std::string_view line_end : {"\n", "\r\n", "\r\r\n", ""}) {
          ExpectTheSame(format, filler + line + std::string(line_end));
          ExpectTheSame(format, line + std::string(line_end) + filler + filler + filler + filler);
        }
      }
    }
  }
}

TEST(RatingScannerTest, AgreesOnLongFilesOfEveryKindOfLine) {
  const RandomStream random(11, 4);
  for (const MovieLensFormat format : kFormats) {
    for (const std::size_t lines : {0U, 1U, 2U, 3U, 1000U}) {
      std::string text;
      for (std::size_t i = 0; i < lines; ++i) {
        const auto words = random.Block(i);
        const std::string user = std::to_string(SomeUsers().ids()[words[0] % 5]);
        const std::string movie = std::to_string(1 + (words[1] >> (words[0] >> 24) % 32));
        const std::string rating = std::to_string(1 + words[2] % 5);
        const std::string time = std::to_string(words[3]);
        text += Joined(format, {user, movie, rating, time});
        text += words[0] % 7 == 0 ? "\r\n" : "\n";
      }
      ExpectTheSame(format, text);
      if (lines > 0) ExpectTheSame(format, std::string_view(text).substr(0, text.size() - 1));
    }
  }
}

TEST(RatingScannerTest, TakesNoMemoryForLinesThatAreNone) {
  // A file of line ends: the first one is an error, before room for all of them is touched.
  const std::string line_ends(1 << 20, '\n');
  ExpectTheSame(MovieLensFormat::kMl1m, line_ends);
}

}  // namespace
}  // namespace dcn::data
