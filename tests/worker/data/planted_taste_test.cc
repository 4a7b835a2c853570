#include "worker/data/planted_taste.h"

#include <cmath>

#include <gtest/gtest.h>

#include "common/random.h"

namespace dcn::data {
namespace {

constexpr RatingTail kTail = {.9, .7, .4, .1};  // P(1) .. P(5) = .1, .2, .3, .3, .1

TEST(PlantedTasteTest, ExpectsTheMeanOfTheDistribution) {
  EXPECT_NEAR(ExpectedRating(kTail), .1 * 1 + .2 * 2 + .3 * 3 + .3 * 4 + .1 * 5, 1e-12);
}

TEST(PlantedTasteTest, DrawsRatingsByTheirProbability) {
  const RandomStream random(1, 1);
  constexpr int kDraws = 100'000;
  std::array<int, 6> counts = {};
  for (std::uint64_t i = 0; i < kDraws; ++i) ++counts.at(DrawRating(kTail, random.Uniform(i)));
  const double expected[] = {0, .1, .2, .3, .3, .1};
  for (std::size_t k = 0; k < counts.size(); ++k) {
    // Five standard deviations of a count.
    EXPECT_NEAR(counts[k], kDraws * expected[k], 5 * std::sqrt(kDraws * .25)) << k;
  }
  EXPECT_EQ(counts[0], 0);
}

TEST(PlantedTasteTest, GivesProbabilitiesForEveryPair) {
  const std::vector<PlantedUser> users = {{true, 0}, {false, 6}, {true, 3}};
  const std::vector<std::uint32_t> movie_counts = {1, 10, 100, 3};
  const PlantedTaste taste(users, movie_counts, 5);
  for (std::size_t u = 0; u < users.size(); ++u) {
    for (std::size_t m = 0; m < movie_counts.size(); ++m) {
      const RatingTail tail = taste.Tail(u, m);
      EXPECT_LE(tail[0], 1.0);
      for (std::size_t k = 1; k < tail.size(); ++k) EXPECT_LT(tail[k], tail[k - 1]);
      EXPECT_GE(tail[3], 0.0);
    }
  }
}

TEST(PlantedTasteTest, DependsOnUserMovieAgeGenderAndSeed) {
  const std::vector<std::uint32_t> counts = {5, 5};
  const auto tail = [&counts](PlantedUser first, std::uint64_t seed, std::size_t user,
                              std::size_t movie) {
    return PlantedTaste(std::vector<PlantedUser>{first, {true, 3}}, counts, seed).Tail(user, movie);
  };
  const RatingTail base = tail({true, 3}, 1, 0, 0);
  EXPECT_EQ(tail({true, 3}, 1, 0, 0), base);
  EXPECT_NE(tail({true, 3}, 1, 1, 0), base);
  EXPECT_NE(tail({true, 3}, 1, 0, 1), base);
  EXPECT_NE(tail({true, 5}, 1, 0, 0), base);
  EXPECT_NE(tail({false, 3}, 1, 0, 0), base);
  EXPECT_NE(tail({true, 3}, 2, 0, 0), base);
}

}  // namespace
}  // namespace dcn::data
