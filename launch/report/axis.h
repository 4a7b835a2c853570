// Axes: from values to positions, and the round numbers to mark.
#pragma once

#include <string>
#include <vector>

namespace dcn::report {

/// Maps values linearly, or by their logarithm, to positions.
struct Axis {
  double low = 0;
  double high = 1;
  double from = 0;  // position of low
  double to = 1;    // position of high
  bool is_logarithmic = false;

  [[nodiscard]] double Position(double value) const;
};

/// Round values (1, 2 or 5 times a power of ten apart) inside [low, high], about `wanted` of them.
/// REQUIRES: low < high, both finite.
std::vector<double> LinearTicks(double low, double high, int wanted);

/// 1, 2, 5 (over less than two powers of ten also 3 and 7) times the powers of ten inside
/// [low, high]. REQUIRES: 0 < low < high, finite.
std::vector<double> LogarithmicTicks(double low, double high);

/// The ticks as texts with the same number of decimals, the fewest that tell them apart exactly (up
/// to 6): {"0.935", "0.940"}, {"0", "50,000"}.
std::vector<std::string> LinearTickTexts(const std::vector<double>& ticks);

/// A single value as short as it stays exact to 6 digits: "0.7", "10".
std::string FormatTick(double value);

/// Decimals with which numbers up to `maximum` in size show three significant digits: 2 for 6.8,
/// 3 for 0.5; within [0, 5].
int DecimalsFor(double maximum);

}  // namespace dcn::report
