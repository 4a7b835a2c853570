// The truth behind the synthetic ratings: what each user thinks of each movie, but for chance.
//
// A rating is a latent normal variable, cut into 1 .. 5:
//   x = mean + user bias + movie quality + user . movie + age . movie + gender . movie
//   P(rating > k) = Phi((x - cut k) / noise),  k = 1 .. 4
// where `a . b` is a product of low-rank factors. Hence the best prediction, in squares, is
//   E[rating] = 1 + sum over k of P(rating > k).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace dcn::data {

/// What the truth depends on.
struct PlantedUser {
  bool is_male = false;
  std::uint32_t age = 0;  // 0 .. 6: the age bucket's position
};

/// P(rating > k) for k = 1 .. 4.
using RatingTail = std::array<double, 4>;

/// Thread safety: immutable.
class PlantedTaste {
 public:
  /// movie_counts: ratings of each movie; better movies are seen more often.
  PlantedTaste(std::span<const PlantedUser> users, std::span<const std::uint32_t> movie_counts,
               std::uint64_t seed);

  [[nodiscard]] RatingTail Tail(std::size_t user, std::size_t movie) const;

 private:
  static constexpr std::size_t kRank = 3;

  // user . movie, age . movie and gender . movie for one user, as one vector of factors.
  using Factors = std::array<double, kRank + 2>;
  static Factors UserFactors(const PlantedUser& user, double bias, std::size_t number,
                             std::uint64_t seed);

  std::vector<double> user_bias_;
  std::vector<double> movie_quality_;
  std::vector<Factors> user_factors_;
  std::vector<Factors> movie_factors_;
};

/// The best prediction of a rating.
double ExpectedRating(const RatingTail& tail);

/// The rating at `uniform` in [0, 1) of its distribution.
std::uint32_t DrawRating(const RatingTail& tail, double uniform);

}  // namespace dcn::data
