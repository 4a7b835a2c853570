// Integers with a Zipf distribution: P(k) proportional to k^-s, k = 1 .. n.
//
// Rejection-inversion (W. Hoermann and G. Derflinger, "Rejection-inversion to generate variates
// from monotone discrete distributions", ACM TOMACS 6(3), 1996): no table, any n.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/random.h"
#include "ps/partition.h"
#include "ps/protocol.h"

namespace dcn::benchmarks {

/// Draws are a function of the stream and of how many there were before. Thread safety: none.
class Zipf {
 public:
  /// s: above 0, other than 1. n: >= 1.
  Zipf(double s, double n, const RandomStream& random) : s_(s), n_(n), random_(random) {
    high_ = Integral(n + 0.5);
    low_ = Integral(1.5) - 1;
    squeeze_ = 2 - Inverse(Integral(2.5) - std::pow(2.0, -s));
  }

  std::uint64_t Draw() {
    while (true) {
      const double u = high_ + random_.Uniform(index_++) * (low_ - high_);
      const double x = Inverse(u);
      const double k = std::fmin(std::fmax(std::round(x), 1.0), n_);
      if (k - x <= squeeze_ || u >= Integral(k + 0.5) - std::pow(k, -s_)) {
        return static_cast<std::uint64_t>(k);
      }
    }
  }

 private:
  // An antiderivative of x^-s, and its inverse.
  [[nodiscard]] double Integral(double x) const { return std::pow(x, 1 - s_) / (1 - s_); }
  [[nodiscard]] double Inverse(double y) const { return std::pow((1 - s_) * y, 1 / (1 - s_)); }

  const double s_;
  const double n_;
  RandomStream random_;
  std::uint64_t index_ = 0;
  double high_ = 0;
  double low_ = 0;
  double squeeze_ = 0;
};

/// As skewed as the accesses of large embedding tables.
inline constexpr double kZipfExponent = 1.05;

/// The key of the k-th most frequent value: what is frequent lies anywhere among the keys.
constexpr ps::Key ZipfKey(std::uint64_t k) { return ps::MixKey(k); }

/// The distinct keys of `draws` draws, increasing, as a batch is pulled and pushed: a key that
/// repeats is asked for once, and its gradients are summed before they are sent.
inline void DrawZipfKeys(Zipf& zipf, std::size_t draws, std::vector<ps::Key>& keys) {
  keys.clear();
  for (std::size_t i = 0; i < draws; ++i) keys.push_back(ZipfKey(zipf.Draw()));
  std::ranges::sort(keys);
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
}

}  // namespace dcn::benchmarks
