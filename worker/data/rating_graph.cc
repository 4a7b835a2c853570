#include "worker/data/rating_graph.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "common/check.h"
#include "common/random.h"

namespace dcn::data {
namespace {

double Interpolate(std::span<const Quantile> curve, double below) {
  std::size_t right = 1;
  while (right + 1 < curve.size() && curve[right].below < below) ++right;
  const Quantile& a = curve[right - 1];
  const Quantile& b = curve[right];
  const double part = (below - a.below) / (b.below - a.below);
  return std::exp(std::log(a.count) + part * (std::log(b.count) - std::log(a.count)));
}

// Integers with the same partial sums as `values`, up to rounding; each is its value rounded up or
// down. REQUIRES: the values add up to an integer, to within rounding errors.
std::vector<std::uint32_t> RoundPartialSums(std::span<const double> values) {
  std::vector<std::uint32_t> rounded;
  rounded.reserve(values.size());
  double sum = 0;
  std::uint64_t rounded_sum = 0;
  for (const double value : values) {
    sum += value;
    const auto next = static_cast<std::uint64_t>(std::floor(sum + 0.5));
    rounded.push_back(static_cast<std::uint32_t>(next - rounded_sum));
    rounded_sum = next;
  }
  return rounded;
}

// Which user has which movie, one bit for each pair.
class PairSet {
 public:
  PairSet(std::size_t users, std::size_t movies) : movies_(movies), bits_(users * movies) {}
  [[nodiscard]] bool Has(std::size_t user, std::size_t movie) const {
    return bits_[user * movies_ + movie];
  }
  void Set(std::size_t user, std::size_t movie, bool has) { bits_[user * movies_ + movie] = has; }

 private:
  std::size_t movies_;
  std::vector<bool> bits_;
};

// Repeats index i counts[i] times.
std::vector<std::uint32_t> Repeat(std::span<const std::uint32_t> counts) {
  std::vector<std::uint32_t> repeated;
  for (std::uint32_t i = 0; i < counts.size(); ++i) repeated.insert(repeated.end(), counts[i], i);
  return repeated;
}

}  // namespace

std::vector<std::uint32_t> Apportion(std::span<const double> weights, std::uint64_t total,
                                     std::uint32_t least) {
  const std::uint64_t given = std::uint64_t{least} * weights.size();
  DCN_CHECK_GE(total, given);
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<double> shares;
  for (const double weight : weights) {
    shares.push_back(least + static_cast<double>(total - given) * weight / sum);
  }
  return RoundPartialSums(shares);
}

std::vector<std::uint32_t> CountsLike(std::span<const Quantile> curve, std::size_t items,
                                      std::uint64_t total, std::uint32_t least,
                                      std::uint32_t most) {
  DCN_CHECK_LE(std::uint64_t{least} * items, total);
  DCN_CHECK_LE(total, std::uint64_t{most} * items);
  std::vector<double> excess;  // above the curve's start
  for (std::size_t i = 0; i < items; ++i) {
    const double below = (static_cast<double>(i) + 0.5) / static_cast<double>(items);
    excess.push_back(Interpolate(curve, below) - curve.front().count);
  }
  const auto counts_for = [&](double stretch) {
    std::vector<double> counts;
    for (const double e : excess) counts.push_back(std::min<double>(least + stretch * e, most));
    return counts;
  };
  // The sum grows with the stretch: halve the interval until doubles end.
  const auto target = static_cast<double>(total);
  double low = 0;
  double high = static_cast<double>(most) / excess.front();
  for (double middle = 0.5 * high; low < middle && middle < high; middle = 0.5 * (low + high)) {
    const std::vector<double> counts = counts_for(middle);
    (std::accumulate(counts.begin(), counts.end(), 0.0) < target ? low : high) = middle;
  }
  return RoundPartialSums(counts_for(high));
}

std::vector<std::uint32_t> DealMovies(std::span<const std::uint32_t> user_counts,
                                      std::span<const std::uint32_t> movie_counts,
                                      std::uint64_t seed) {
  const std::vector<std::uint32_t> users = Repeat(user_counts);  // by slot
  std::vector<std::uint32_t> movies = Repeat(movie_counts);      // by slot
  DCN_CHECK_EQ(users.size(), movies.size());
  Shuffle(RandomStream(seed, StreamId("synthetic/deal")), movies);

  PairSet pairs(user_counts.size(), movie_counts.size());
  std::vector<std::size_t> repeats;  // slots whose pair an earlier slot has already
  std::vector<bool> is_repeat(movies.size());
  for (std::size_t slot = 0; slot < movies.size(); ++slot) {
    if (pairs.Has(users[slot], movies[slot])) {
      repeats.push_back(slot);
      is_repeat[slot] = true;
    }
    pairs.Set(users[slot], movies[slot], true);
  }

  // Each repeat exchanges its movie with a random slot where that makes two new pairs.
  const RandomStream random(seed, StreamId("synthetic/exchange"));
  std::uint64_t draw = 0;
  const std::uint64_t most_draws = 1000 * (movies.size() + 1000);
  for (const std::size_t slot : repeats) {
    const std::uint32_t user = users[slot];
    for (;;) {
      DCN_CHECK_LT(draw, most_draws);
      const std::size_t other = BoundedWord(random.Word64(draw++), movies.size());
      if (is_repeat[other] || pairs.Has(user, movies[other])) continue;
      if (pairs.Has(users[other], movies[slot])) continue;
      pairs.Set(users[other], movies[other], false);
      std::swap(movies[slot], movies[other]);
      pairs.Set(users[other], movies[other], true);
      pairs.Set(user, movies[slot], true);
      is_repeat[slot] = false;
      break;
    }
  }
  return movies;
}

}  // namespace dcn::data
