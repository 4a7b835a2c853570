// Which pairs of features a cross layer weighs: the block norms of its kernel.
//
// Entry (i, j) is the Frobenius norm of the block of W[in, out] whose rows are feature i's part of
// the input and whose columns are feature j's: how strongly feature i inside x W works on feature
// j of x0. W is not symmetric, and neither is the map.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace dcn::report {

/// A square table of numbers, row-major.
struct SquareMap {
  std::size_t size = 0;
  std::vector<double> values;  // [size, size]

  [[nodiscard]] double at(std::size_t row, std::size_t column) const {
    return values[row * size + column];
  }
  friend bool operator==(const SquareMap&, const SquareMap&) = default;
};

/// Block norms of `kernel`, [width, width] row-major with width the sum of `widths`; widths: of
/// each feature's embedding, in the order of x0. Returns [widths.size(), widths.size()].
SquareMap BlockNorms(std::span<const float> kernel, std::span<const std::size_t> widths);

/// The kernel of a low-rank layer, U V, in double rounded once: u is [width, rank], v [rank,
/// width].
std::vector<float> LowRankKernel(std::span<const float> u, std::span<const float> v,
                                 std::size_t width, std::size_t rank);

/// A layer's map over several runs.
struct MapStatistics {
  SquareMap mean;
  SquareMap standard_deviation;  // ddof 0
  SquareMap asymmetry;           // |mean(i, j) - mean(j, i)|: symmetric, 0 on the diagonal
};

/// REQUIRES: at least one map, all of one size.
MapStatistics Summarize(std::span<const SquareMap> maps);

}  // namespace dcn::report
