#include "launch/report/block_norms.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/check.h"

namespace dcn::report {

SquareMap BlockNorms(std::span<const float> kernel, std::span<const std::size_t> widths) {
  const std::size_t width = std::accumulate(widths.begin(), widths.end(), std::size_t{0});
  DCN_CHECK_EQ(kernel.size(), width * width);
  const std::size_t features = widths.size();
  SquareMap map{features, std::vector<double>(features * features, 0.0)};
  // One pass in memory order; `at` walks the kernel.
  std::size_t at = 0;
  for (std::size_t i = 0; i < features; ++i) {
    for (std::size_t row = 0; row < widths[i]; ++row) {
      for (std::size_t j = 0; j < features; ++j) {
        double sum = 0;
        for (std::size_t column = 0; column < widths[j]; ++column, ++at) {
          const double value = kernel[at];
          sum += value * value;
        }
        map.values[i * features + j] += sum;
      }
    }
  }
  for (double& value : map.values) value = std::sqrt(value);
  return map;
}

std::vector<float> LowRankKernel(std::span<const float> u, std::span<const float> v,
                                 std::size_t width, std::size_t rank) {
  DCN_CHECK_EQ(u.size(), width * rank);
  DCN_CHECK_EQ(v.size(), rank * width);
  std::vector<float> kernel(width * width);
  std::vector<double> row(width);
  for (std::size_t in = 0; in < width; ++in) {
    std::fill(row.begin(), row.end(), 0.0);
    for (std::size_t k = 0; k < rank; ++k) {
      const double factor = u[in * rank + k];
      for (std::size_t out = 0; out < width; ++out) row[out] += factor * v[k * width + out];
    }
    std::transform(row.begin(), row.end(), kernel.begin() + static_cast<std::ptrdiff_t>(in * width),
                   [](double value) { return static_cast<float>(value); });
  }
  return kernel;
}

MapStatistics Summarize(std::span<const SquareMap> maps) {
  DCN_CHECK(!maps.empty());
  const std::size_t size = maps.front().size;
  const SquareMap zero{size, std::vector<double>(size * size, 0.0)};
  MapStatistics statistics{zero, zero, zero};
  const auto count = static_cast<double>(maps.size());
  for (std::size_t k = 0; k < size * size; ++k) {
    double sum = 0;
    for (const SquareMap& map : maps) {
      DCN_CHECK_EQ(map.size, size);
      sum += map.values[k];
    }
    const double mean = sum / count;
    double squares = 0;
    for (const SquareMap& map : maps) squares += (map.values[k] - mean) * (map.values[k] - mean);
    statistics.mean.values[k] = mean;
    statistics.standard_deviation.values[k] = std::sqrt(squares / count);
  }
  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t j = 0; j < size; ++j) {
      statistics.asymmetry.values[i * size + j] =
          std::abs(statistics.mean.at(i, j) - statistics.mean.at(j, i));
    }
  }
  return statistics;
}

}  // namespace dcn::report
