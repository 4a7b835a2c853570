#include "worker/data/synthetic.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/data/movielens_oracle.h"
#include "worker/data/planted_taste.h"

namespace dcn::data {
namespace {

// The full data set, made once for the suite.
class SyntheticTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { full_.emplace(SynthesizeDataset(Full())); }
  static void TearDownTestSuite() { full_.reset(); }

  static SyntheticSpec Full() { return MakeSyntheticSpec("full").value(); }
  static SyntheticSpec Small() { return MakeSyntheticSpec("small").value(); }
  static const Dataset& full() { return *full_; }

  // Ratings of each value of a feature, increasing.
  static std::vector<double> Counts(std::size_t feature) {
    std::vector<double> counts(full().vocabularies()[feature].values.size());
    for (std::size_t row = 0; row < full().rows(); ++row) ++counts[full().ids(row)[feature] - 1];
    std::sort(counts.begin(), counts.end());
    return counts;
  }

 private:
  static std::optional<Dataset> full_;
};
std::optional<Dataset> SyntheticTest::full_;

TEST_F(SyntheticTest, HasTheCountsOfMovieLens1M) {
  EXPECT_EQ(full().name(), "synthetic");
  EXPECT_EQ(full().rows(), 1000209U);
  std::vector<std::size_t> sizes;
  for (const Vocabulary& vocabulary : full().vocabularies())
    sizes.push_back(vocabulary.values.size());
  EXPECT_THAT(sizes, ::testing::ElementsAre(3706, 6040, 3439, 21, 2, 7));
}

TEST_F(SyntheticTest, NeverChanges) {
  // A change here is another data set: raise kSyntheticVersion with it.
  EXPECT_EQ(kSyntheticVersion, 1);
  EXPECT_EQ(full().fingerprint(), "384c228d8f9d7524678eaa86d7cc2660");
  EXPECT_EQ(SynthesizeDataset(Small()).fingerprint(), "1d0ed3518f0287fcd95b5709d1796596");
}

TEST_F(SyntheticTest, RatesLikeMovieLens1M) {
  const auto rows = static_cast<double>(full().rows());
  std::vector<double> shares(6);
  double mean = 0;
  double square = 0;
  for (const float label : full().labels()) {
    shares[static_cast<std::size_t>(label)] += 1 / rows;
    mean += label / rows;
    square += label * label / rows;
  }
  EXPECT_NEAR(mean, 3.58, .02);
  EXPECT_NEAR(std::sqrt(square - mean * mean), 1.12, .02);
  // The shares of ratings 1 .. 5 among MovieLens-1M's.
  const double expected[] = {0, .056, .107, .261, .349, .226};
  for (std::size_t k = 0; k < shares.size(); ++k) EXPECT_NEAR(shares[k], expected[k], .01) << k;
}

TEST_F(SyntheticTest, IsAsSkewedAsMovieLens1M) {
  const std::pair<double, double> activity[] = {{.1, 27},   {.25, 44}, {.5, 96},
                                                {.75, 208}, {.9, 400}, {.99, 903}};
  const std::pair<double, double> popularity[] = {{.1, 7},    {.25, 33}, {.5, 123},
                                                  {.75, 350}, {.9, 729}, {.99, 1783}};
  const auto at = [](const std::vector<double>& sorted, double share) {
    return sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size()))];
  };
  const auto users = Counts(kUserFeature);
  for (const auto& [share, count] : activity) {
    EXPECT_NEAR(at(users, share) / count, 1, .1) << "users, " << share;
  }
  EXPECT_EQ(users.front(), 20);
  EXPECT_NEAR(users.back(), 2314, 231);
  const auto movies = Counts(kMovieFeature);
  for (const auto& [share, count] : popularity) {
    EXPECT_NEAR(at(movies, share) / count, 1, .1) << "movies, " << share;
  }
  EXPECT_EQ(movies.front(), 1);
  EXPECT_NEAR(movies.back(), 3428, 343);
}

TEST_F(SyntheticTest, HasNoPairTwice) {
  std::vector<std::uint64_t> pairs;
  for (std::size_t row = 0; row < full().rows(); ++row) {
    pairs.push_back(std::uint64_t{full().ids(row)[kUserFeature]} << 32 |
                    full().ids(row)[kMovieFeature]);
  }
  std::sort(pairs.begin(), pairs.end());
  EXPECT_EQ(std::adjacent_find(pairs.begin(), pairs.end()), pairs.end());
}

// The planted parameters are found again from the files alone, and their errors summed anew.
TEST_F(SyntheticTest, StatesTheNoiseFloorOfItsRatings) {
  const SyntheticFiles files = Synthesize(Small());
  std::vector<PlantedUser> users;
  for (const auto& line : testing::ReadTable(files.users, "::")) {
    const auto* const age = std::find(std::begin(kAgeBuckets), std::end(kAgeBuckets),
                                      static_cast<std::uint32_t>(std::stoul(line[2])));
    users.push_back({line[1] == "M", static_cast<std::uint32_t>(age - std::begin(kAgeBuckets))});
  }
  const auto ratings = testing::ReadTable(files.ratings, "::");
  std::vector<std::uint32_t> movie_counts(Small().movies);
  for (const auto& line : ratings) ++movie_counts.at(std::stoul(line[1]) - 1);
  const PlantedTaste taste(users, movie_counts, Small().seed);
  double squares = 0;
  double squares_of_worse = 0;
  for (const auto& line : ratings) {
    const double expectation =
        ExpectedRating(taste.Tail(std::stoul(line[0]) - 1, std::stoul(line[1]) - 1));
    squares += std::pow(std::stod(line[2]) - expectation, 2);
    squares_of_worse += std::pow(std::stod(line[2]) - expectation - .1, 2);
  }
  const auto count = static_cast<double>(ratings.size());
  EXPECT_NEAR(files.noise_floor_rmse, std::sqrt(squares / count), 1e-6);
  EXPECT_LT(files.noise_floor_rmse, std::sqrt(squares_of_worse / count));
}

TEST_F(SyntheticTest, LeavesSomethingToLearnBeyondBiases) {
  // Users' and movies' means, fitted by turns on all ratings: what a model without any interaction
  // could reach. Interactions must be worth more than the differences between the models.
  const auto rows = static_cast<double>(full().rows());
  std::vector<double> biases[2];
  std::vector<double> counts[2];
  for (const std::size_t f : {kMovieFeature, kUserFeature}) {
    biases[f].resize(full().vocabularies()[f].table_rows());
    counts[f].resize(biases[f].size());
    for (std::size_t row = 0; row < full().rows(); ++row) ++counts[f][full().ids(row)[f]];
  }
  for (int turn = 0; turn < 10; ++turn) {
    const std::size_t f = turn % 2 == 0 ? kMovieFeature : kUserFeature;
    std::vector<double> sums(biases[f].size());
    for (std::size_t row = 0; row < full().rows(); ++row) {
      sums[full().ids(row)[f]] += full().labels()[row] - biases[1 - f][full().ids(row)[1 - f]];
    }
    for (std::size_t i = 1; i < sums.size(); ++i) biases[f][i] = sums[i] / counts[f][i];
  }
  double squares = 0;
  for (std::size_t row = 0; row < full().rows(); ++row) {
    const auto ids = full().ids(row);
    squares += std::pow(full().labels()[row] - biases[0][ids[0]] - biases[1][ids[1]], 2);
  }
  const double floor = full().noise_floor_rmse().value();
  EXPECT_GT(floor, .85);
  EXPECT_LT(floor, .90);
  EXPECT_GT(std::sqrt(squares / rows), floor + .04);
}

TEST_F(SyntheticTest, FollowsTheSeed) {
  const SyntheticFiles files = Synthesize(Small());
  SyntheticSpec other = Small();
  other.seed = 2;
  const SyntheticFiles other_files = Synthesize(other);
  EXPECT_NE(files.ratings, other_files.ratings);
  EXPECT_NE(files.users, other_files.users);
  EXPECT_EQ(files.ratings, Synthesize(Small()).ratings);
}

TEST_F(SyntheticTest, SmallOneHasItsCounts) {
  const Dataset small = SynthesizeDataset(Small());
  EXPECT_EQ(small.rows(), 20000U);
  EXPECT_EQ(small.vocabularies()[kUserFeature].values.size(), 400U);
  EXPECT_EQ(small.vocabularies()[kMovieFeature].values.size(), 500U);
  EXPECT_EQ(small.vocabularies()[2].values.size(), 300U);
  EXPECT_EQ(small.vocabularies()[3].values.size(), 21U);
  EXPECT_EQ(small.vocabularies()[4].values.size(), 2U);
  EXPECT_EQ(small.vocabularies()[5].values.size(), 7U);
}

TEST_F(SyntheticTest, WritesAMovieLineForEachMovie) {
  const auto movies = testing::ReadTable(Synthesize(Small()).movies, "::");
  ASSERT_EQ(movies.size(), 500U);
  for (std::size_t m = 0; m < movies.size(); ++m) {
    EXPECT_EQ(movies[m].size(), 3U);
    EXPECT_EQ(movies[m][0], std::to_string(m + 1));
  }
}

TEST_F(SyntheticTest, NamesSizesAndSources) {
  EXPECT_EQ(FindSyntheticSource("synthetic")->size, "full");
  EXPECT_EQ(FindSyntheticSource("synthetic-small")->size, "small");
  EXPECT_FALSE(FindSyntheticSource("./synthetic").has_value());
  EXPECT_FALSE(FindSyntheticSource("").has_value());
  const auto unknown = MakeSyntheticSpec("huge");
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(unknown.status().message(), "no synthetic size \"huge\": expected full or small");
}

}  // namespace
}  // namespace dcn::data
