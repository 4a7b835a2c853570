// Thousands of damaged files, from a fixed seed: none may crash, hang or be half taken.
#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/random.h"
#include "tests/worker/data/movielens_oracle.h"
#include "worker/data/movielens.h"

namespace dcn::data {
namespace {

/// Draws numbers one after another.
class Draws {
 public:
  explicit Draws(std::uint64_t seed) : random_(seed, StreamId("fuzz")) {}
  std::size_t Below(std::size_t bound) { return BoundedWord(random_.Word64(next_++), bound); }

 private:
  RandomStream random_;
  std::uint64_t next_ = 0;
};

// One damage of the kinds that files suffer: bits, cuts, repeats, foreign bytes, swapped lines.
void Damage(std::string& text, Draws& draws) {
  constexpr std::string_view kPieces[] = {"::",   "\t", "|", "\n",         "\r\n",         "\r",
                                          "9",    "0",  "-", "4294967296", "1::2::3::4\n", "\xE9",
                                          "\xFF", " ",  "5", ":"};
  const std::size_t at = draws.Below(text.size() + 1);
  const std::size_t length = draws.Below(std::min<std::size_t>(text.size() - at, 40) + 1);
  switch (draws.Below(8)) {
    case 0:
      if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << draws.Below(8)));
      break;
    case 1:
      if (at < text.size()) text[at] = static_cast<char>(draws.Below(256));
      break;
    case 2:
      text.erase(at, length);
      break;
    case 3:
      text.insert(at, text.substr(at, length));
      break;
    case 4:
      text.insert(at, kPieces[draws.Below(std::size(kPieces))]);
      break;
    case 5:
      text.resize(at);
      break;
    case 6:
      text.insert(at, std::string(draws.Below(600), static_cast<char>(draws.Below(256))));
      break;
    default:
      std::rotate(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), text.end());
  }
}

// Copies without a byte to spare, so that a sanitizer sees a look beyond the end.
struct ExactCopy {
  explicit ExactCopy(std::string_view text)
      : bytes(std::make_unique<char[]>(text.size())), view(bytes.get(), text.size()) {
    std::memcpy(bytes.get(), text.data(), text.size());
  }
  std::unique_ptr<char[]> bytes;
  std::string_view view;
};

// A data set that says no more and no less than one can check from outside.
void ExpectSound(const Dataset& dataset) {
  ASSERT_GE(dataset.rows(), 1U);
  ASSERT_EQ(dataset.ids().size(), dataset.rows() * 6);
  for (std::size_t row = 0; row < dataset.rows(); ++row) {
    ASSERT_GE(dataset.labels()[row], 1.0F);
    ASSERT_LE(dataset.labels()[row], 5.0F);
    for (std::size_t f = 0; f < 6; ++f) {
      ASSERT_GE(dataset.ids(row)[f], 1U);
      ASSERT_LT(dataset.ids(row)[f], dataset.vocabularies()[f].table_rows());
    }
  }
  for (const Vocabulary& vocabulary : dataset.vocabularies()) {
    for (std::size_t i = 1; i < vocabulary.values.size(); ++i) {
      if (vocabulary.is_integer) continue;
      ASSERT_LT(vocabulary.values[i - 1], vocabulary.values[i]);
    }
  }
}

struct Tally {
  int accepted = 0;
  int refused = 0;
};

Tally ParseDamagedFiles(const MovieLensText& sound, std::size_t files) {
  Draws draws(files);
  Tally tally;
  for (std::size_t i = 0; i < files; ++i) {
    std::string ratings(sound.ratings);
    std::string users(sound.users);
    // Mostly the ratings file; one damage or a few.
    std::string& damaged = draws.Below(4) == 0 ? users : ratings;
    for (std::size_t n = draws.Below(4) + 1; n-- > 0;) Damage(damaged, draws);
    const ExactCopy exact_ratings(ratings);
    const ExactCopy exact_users(users);
    MovieLensText text = sound;
    text.ratings = exact_ratings.view;
    text.users = exact_users.view;
    const Result<Dataset> dataset = ParseMovieLens(text, "fuzz", "");
    if (dataset.ok()) {
      ++tally.accepted;
      ExpectSound(*dataset);
    } else {
      ++tally.refused;
      EXPECT_EQ(dataset.status().code(), StatusCode::kDataLoss);
      EXPECT_THAT(dataset.status().message(),
                  ::testing::MatchesRegex(
                      "(ratings.dat|users.dat|u.data|u.user):[0-9]+: expected .+, found .+"));
      for (const char c : dataset.status().message()) EXPECT_TRUE(c >= 0x20 && c < 0x7F);
    }
    if (::testing::Test::HasFailure()) {
      ADD_FAILURE() << "file " << i << "\n" << ratings << "\n--\n" << users;
      break;
    }
  }
  return tally;
}

TEST(MovieLensFuzzTest, NeverCrashesOnMl1m) {
  std::string ratings;
  for (int i = 0; i < 30; ++i) {
    ratings += i % 3 == 0 ? "1::1193::5::978300760\n" : "10::20::3::978302109\n";
  }
  const Tally tally = ParseDamagedFiles(testing::Tiny1m(ratings), 6000);
  // Neither kind is so rare that the test says nothing about it.
  EXPECT_GT(tally.accepted, 300);
  EXPECT_GT(tally.refused, 3000);
}

TEST(MovieLensFuzzTest, NeverCrashesOnMl100k) {
  std::string ratings;
  for (int i = 0; i < 30; ++i) {
    ratings += i % 3 == 0 ? "196\t242\t3\t881250949\n" : "186\t302\t1\t891717742\n";
  }
  const Tally tally = ParseDamagedFiles(testing::Tiny100k(ratings), 6000);
  EXPECT_GT(tally.accepted, 300);
  EXPECT_GT(tally.refused, 3000);
}

TEST(MovieLensFuzzTest, RefusesRandomBytes) {
  Draws draws(1);
  for (int i = 0; i < 500; ++i) {
    std::string garbage(draws.Below(3000) + 1, '\0');
    for (char& c : garbage) c = static_cast<char>(draws.Below(256));
    const ExactCopy exact(garbage);
    EXPECT_FALSE(ParseMovieLens(testing::Tiny1m(exact.view), "fuzz", "").ok());
    EXPECT_FALSE(ParseMovieLens(testing::Tiny100k(exact.view), "fuzz", "").ok());
    EXPECT_FALSE(
        ParseMovieLens(testing::Tiny1m(testing::kTinyRatings1m, exact.view), "fuzz", "").ok());
  }
}

}  // namespace
}  // namespace dcn::data
