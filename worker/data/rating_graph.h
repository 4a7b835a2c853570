// Who rates what in the synthetic data set: exact numbers of ratings for each user and each movie,
// without a pair that occurs twice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace dcn::data {

/// A point of a distribution: a share `below` of the items has at most `count` ratings.
struct Quantile {
  double below = 0;  // 0 .. 1
  double count = 0;  // > 0
};

/// Shares of a total in proportion to `weights`, at least `least` each: integers that add up to
/// `total`. REQUIRES: weights not empty, > 0; total >= least * weights.size().
std::vector<std::uint32_t> Apportion(std::span<const double> weights, std::uint64_t total,
                                     std::uint32_t least);

/// `items` counts in increasing order that follow the shape of `curve`, stretched so that they add
/// up to `total`, each in [least, most]. The curve's logarithm is interpolated linearly.
/// REQUIRES: curve from 0 to 1, increasing; items * least <= total <= items * most.
std::vector<std::uint32_t> CountsLike(std::span<const Quantile> curve, std::size_t items,
                                      std::uint64_t total, std::uint32_t least, std::uint32_t most);

/// Deals movie m out to movie_counts[m] different users such that user u gets user_counts[u]
/// movies: the movies of user 0, then of user 1, …, each user's in random order.
/// REQUIRES: both counts have the same sum, and such a dealing exists with room to spare (it is
/// found by random exchanges; a check fails after very many vain ones).
std::vector<std::uint32_t> DealMovies(std::span<const std::uint32_t> user_counts,
                                      std::span<const std::uint32_t> movie_counts,
                                      std::uint64_t seed);

}  // namespace dcn::data
