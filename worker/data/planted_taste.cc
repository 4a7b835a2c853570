#include "worker/data/planted_taste.h"

#include <cmath>
#include <numbers>
#include <numeric>

#include "common/random.h"

namespace dcn::data {
namespace {

// Chosen so that the drawn ratings have MovieLens-1M's mean (3.58) and deviation (1.12), its share
// of variance explained by users and movies, and a noise floor at the RMSE of the best models
// there.
constexpr double kMean = 3.34;
constexpr double kNoise = 0.95;
constexpr RatingTail kCuts = {1.6, 2.4, 3.4, 4.6};  // latent values at which the rating changes
constexpr double kUserDeviation = 0.42;
constexpr double kPopularityEffect = 0.28;  // quality for one deviation of log(ratings)
constexpr double kQualityDeviation = 0.52;  // beside the effect of popularity
constexpr double kFactorDeviations[] = {0.42, 0.22, 0.14};  // user . movie, by factor
// The first factor is not independent of the biases: who rates high also cares more for quality.
constexpr double kFirstFactorCorrelation = 0.5;
constexpr double kAgeMovieDeviation = 0.14;
constexpr double kGenderMovieDeviation = 0.10;

// log(count) with mean 0 and deviation 1 over the movies.
std::vector<double> StandardLogs(std::span<const std::uint32_t> counts) {
  std::vector<double> logs;
  for (const std::uint32_t count : counts) logs.push_back(std::log(count));
  const auto items = static_cast<double>(logs.size());
  const double mean = std::accumulate(logs.begin(), logs.end(), 0.0) / items;
  double squares = 0;
  for (double& log : logs) {
    log -= mean;
    squares += log * log;
  }
  const double deviation = std::sqrt(squares / items);
  for (double& log : logs) log /= deviation > 0 ? deviation : 1.0;
  return logs;
}

// A standard normal value with the correlation kFirstFactorCorrelation to `a`, if both are.
double Correlate(double a, double b) {
  return kFirstFactorCorrelation * a +
         std::sqrt(1 - kFirstFactorCorrelation * kFirstFactorCorrelation) * b;
}

double StandardNormalCdf(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }

}  // namespace

PlantedTaste::Factors PlantedTaste::UserFactors(const PlantedUser& user, double bias,
                                                std::size_t number, std::uint64_t seed) {
  const RandomStream random(seed, StreamId("synthetic/user factors"));
  Factors factors;
  for (std::size_t k = 0; k < kRank; ++k) factors[k] = random.Normal(kRank * number + k);
  factors[0] = Correlate(bias, factors[0]);
  for (std::size_t k = 0; k < kRank; ++k) factors[k] *= kFactorDeviations[k];
  // From -1.5 for the youngest to 1.5 for the oldest, and -1 or 1.
  factors[kRank] = kAgeMovieDeviation * (user.age / 2.0 - 1.5);
  factors[kRank + 1] = kGenderMovieDeviation * (user.is_male ? 1.0 : -1.0);
  return factors;
}

PlantedTaste::PlantedTaste(std::span<const PlantedUser> users,
                           std::span<const std::uint32_t> movie_counts, std::uint64_t seed) {
  const RandomStream user_bias(seed, StreamId("synthetic/user bias"));
  for (std::size_t u = 0; u < users.size(); ++u) {
    const double bias = user_bias.Normal(u);
    user_bias_.push_back(kUserDeviation * bias);
    user_factors_.push_back(UserFactors(users[u], bias, u, seed));
  }
  const RandomStream movie_quality(seed, StreamId("synthetic/movie quality"));
  const RandomStream movie_factors(seed, StreamId("synthetic/movie factors"));
  const std::vector<double> popularity = StandardLogs(movie_counts);
  for (std::size_t m = 0; m < movie_counts.size(); ++m) {
    const double quality = movie_quality.Normal(m);
    movie_quality_.push_back(kPopularityEffect * popularity[m] + kQualityDeviation * quality);
    Factors factors;
    for (std::size_t k = 0; k < factors.size(); ++k) {
      factors[k] = movie_factors.Normal(factors.size() * m + k);
    }
    factors[0] = Correlate(quality, factors[0]);
    movie_factors_.push_back(factors);
  }
}

RatingTail PlantedTaste::Tail(std::size_t user, std::size_t movie) const {
  double x = kMean + user_bias_[user] + movie_quality_[movie];
  for (std::size_t k = 0; k < user_factors_[user].size(); ++k) {
    x += user_factors_[user][k] * movie_factors_[movie][k];
  }
  RatingTail tail;
  for (std::size_t k = 0; k < tail.size(); ++k) {
    tail[k] = StandardNormalCdf((x - kCuts[k]) / kNoise);
  }
  return tail;
}

double ExpectedRating(const RatingTail& tail) {
  return std::accumulate(tail.begin(), tail.end(), 1.0);
}

std::uint32_t DrawRating(const RatingTail& tail, double uniform) {
  std::uint32_t rating = 1;
  for (const double above : tail) rating += uniform < above ? 1 : 0;
  return rating;
}

}  // namespace dcn::data
