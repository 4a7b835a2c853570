#include "worker/data/rating_graph.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/check.h"

namespace dcn::data {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Ge;

std::uint64_t Sum(const std::vector<std::uint32_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

TEST(RatingGraphTest, ApportionsInProportion) {
  EXPECT_THAT(Apportion(std::vector<double>{1, 2, 5}, 80, 0), ElementsAre(10, 20, 50));
  EXPECT_THAT(Apportion(std::vector<double>{3}, 7, 1), ElementsAre(7));
}

TEST(RatingGraphTest, GivesEveryOneTheLeast) {
  const std::vector<double> weights = {1e-9, 1, 1e6, 1e-9};
  for (const std::uint64_t total : {4U, 5U, 1001U}) {
    const auto shares = Apportion(weights, total, 1);
    EXPECT_EQ(Sum(shares), total);
    EXPECT_THAT(shares, Each(Ge(1U)));
  }
  EXPECT_THROW(Apportion(weights, 3, 1), CheckError);
}

TEST(RatingGraphTest, FollowsTheCurve) {
  constexpr Quantile kCurve[] = {{0, 10}, {.5, 100}, {1, 1000}};
  // log10(count) = 1 + 2 * share: the mean over the curve is (1000 - 10) / ln(100) = 215.
  const auto counts = CountsLike(kCurve, 1001, 215 * 1001, 10, 5000);
  EXPECT_EQ(Sum(counts), 215U * 1001U);
  EXPECT_NEAR(counts[0], 10, 1);
  EXPECT_NEAR(counts[250], 31.6, 1);
  EXPECT_NEAR(counts[500], 100, 1);
  EXPECT_NEAR(counts[1000], 1000, 5);
}

TEST(RatingGraphTest, StretchesTheCurveToTheTotal) {
  constexpr Quantile kCurve[] = {{0, 10}, {.5, 100}, {1, 1000}};
  for (const std::uint64_t total : {20U * 57, 20U * 57 + 1, 4000U, 20000U, 57U * 400}) {
    const auto counts = CountsLike(kCurve, 57, total, 20, 400);
    EXPECT_EQ(Sum(counts), total);
    EXPECT_GE(*std::min_element(counts.begin(), counts.end()), 20U);
    EXPECT_LE(*std::max_element(counts.begin(), counts.end()), 400U);
    // Each is a value of the increasing curve, rounded up or down.
    for (std::size_t i = 1; i < counts.size(); ++i) EXPECT_GE(counts[i] + 1, counts[i - 1]);
  }
  EXPECT_THROW(CountsLike(kCurve, 57, 20 * 57 - 1, 20, 400), CheckError);
  EXPECT_THROW(CountsLike(kCurve, 57, 400 * 57 + 1, 20, 400), CheckError);
}

void ExpectDealt(const std::vector<std::uint32_t>& user_counts,
                 const std::vector<std::uint32_t>& movie_counts,
                 const std::vector<std::uint32_t>& movies) {
  ASSERT_EQ(movies.size(), Sum(user_counts));
  std::vector<std::uint32_t> found(movie_counts.size());
  std::size_t slot = 0;
  for (const std::uint32_t count : user_counts) {
    std::set<std::uint32_t> of_user;
    for (std::uint32_t i = 0; i < count; ++i) of_user.insert(movies[slot++]);
    EXPECT_EQ(of_user.size(), count) << "a movie twice";
    for (const std::uint32_t movie : of_user) ++found.at(movie);
  }
  EXPECT_EQ(found, movie_counts);
}

TEST(RatingGraphTest, DealsExactCountsWithoutRepeats) {
  const std::pair<std::vector<std::uint32_t>, std::vector<std::uint32_t>> cases[] = {
      {{}, {}},
      {{1}, {1}},
      {{2, 1}, {1, 1, 1}},
      {{3, 3, 3, 3, 3}, {5, 4, 3, 2, 1}},
      {std::vector<std::uint32_t>(60, 20), std::vector<std::uint32_t>(40, 30)},
  };
  for (const auto& [users, movies] : cases)
    ExpectDealt(users, movies, DealMovies(users, movies, 1));
}

TEST(RatingGraphTest, DealsByTheSeed) {
  const std::vector<std::uint32_t> users(60, 20);
  const std::vector<std::uint32_t> movies(40, 30);
  EXPECT_EQ(DealMovies(users, movies, 1), DealMovies(users, movies, 1));
  EXPECT_NE(DealMovies(users, movies, 1), DealMovies(users, movies, 2));
}

TEST(RatingGraphTest, GivesUpOnAnImpossibleDeal) {
  // Two movies for a user, but there is one movie only.
  EXPECT_THROW(DealMovies(std::vector<std::uint32_t>{2}, std::vector<std::uint32_t>{2}, 1),
               CheckError);
  EXPECT_THROW(DealMovies(std::vector<std::uint32_t>{2}, std::vector<std::uint32_t>{1}, 1),
               CheckError);
}

}  // namespace
}  // namespace dcn::data
