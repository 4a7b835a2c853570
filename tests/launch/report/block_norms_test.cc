#include "launch/report/block_norms.h"

#include <cmath>
#include <numeric>
#include <random>

#include <gtest/gtest.h>

#include "common/check.h"

namespace dcn::report {
namespace {

std::vector<float> RandomValues(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

/// The definition, block by block, entry by entry.
double SlowBlockNorm(const std::vector<float>& kernel, const std::vector<std::size_t>& widths,
                     std::size_t i, std::size_t j) {
  std::size_t width = 0;
  for (const std::size_t w : widths) width += w;
  std::size_t row_begin = 0;
  for (std::size_t k = 0; k < i; ++k) row_begin += widths[k];
  std::size_t column_begin = 0;
  for (std::size_t k = 0; k < j; ++k) column_begin += widths[k];
  double sum = 0;
  for (std::size_t row = row_begin; row < row_begin + widths[i]; ++row) {
    for (std::size_t column = column_begin; column < column_begin + widths[j]; ++column) {
      sum += std::pow(static_cast<double>(kernel[row * width + column]), 2);
    }
  }
  return std::sqrt(sum);
}

TEST(BlockNormsTest, AgreeWithTheDefinition) {
  const std::vector<std::size_t> shapes[] = {
      {1}, {5}, {1, 1}, {32, 32, 32, 32, 32, 32}, {3, 1, 7}, {8, 8, 6, 4, 1, 3}};
  unsigned seed = 1;
  for (const std::vector<std::size_t>& widths : shapes) {
    const std::size_t width = std::accumulate(widths.begin(), widths.end(), std::size_t{0});
    const std::vector<float> kernel = RandomValues(width * width, seed++);
    const SquareMap map = BlockNorms(kernel, widths);
    ASSERT_EQ(map.size, widths.size());
    for (std::size_t i = 0; i < widths.size(); ++i) {
      for (std::size_t j = 0; j < widths.size(); ++j) {
        EXPECT_NEAR(map.at(i, j), SlowBlockNorm(kernel, widths, i, j), 1e-12 * (1 + map.at(i, j)));
      }
    }
  }
}

TEST(BlockNormsTest, HaveTheInputInTheRow) {
  // Only the block from feature 0 (inputs) to feature 1 (outputs) is not zero.
  const std::vector<float> kernel = {0, 3, 4,  //
                                     0, 0, 0,  //
                                     0, 0, 0};
  const std::vector<std::size_t> widths = {1, 2};
  EXPECT_EQ(BlockNorms(kernel, widths).values, (std::vector<double>{0, 5, 0, 0}));
}

TEST(BlockNormsTest, OfNoFeatureAreEmpty) {
  EXPECT_EQ(BlockNorms({}, {}).values.size(), 0U);
  const std::vector<std::size_t> widths = {0, 2};  // a feature without a width has norm 0
  EXPECT_EQ(BlockNorms(std::vector<float>{1, 2, 2, 4}, widths).values,
            (std::vector<double>{0, 0, 0, 5}));
}

TEST(BlockNormsTest, RefuseAKernelOfAnotherSize) {
  const std::vector<std::size_t> widths = {2, 1};
  EXPECT_THROW(BlockNorms(std::vector<float>(8), widths), CheckError);
}

TEST(LowRankKernelTest, IsTheProduct) {
  for (const std::size_t width : {1U, 2U, 7U, 30U}) {
    for (const std::size_t rank : {0U, 1U, 3U, 20U}) {
      const std::vector<float> u = RandomValues(width * rank, 11);
      const std::vector<float> v = RandomValues(rank * width, 12);
      const std::vector<float> kernel = LowRankKernel(u, v, width, rank);
      ASSERT_EQ(kernel.size(), width * width);
      for (std::size_t i = 0; i < width; ++i) {
        for (std::size_t j = 0; j < width; ++j) {
          double sum = 0;
          for (std::size_t k = 0; k < rank; ++k) {
            sum += static_cast<double>(u[i * rank + k]) * static_cast<double>(v[k * width + j]);
          }
          EXPECT_EQ(kernel[i * width + j], static_cast<float>(sum));
        }
      }
    }
  }
}

TEST(SummarizeTest, GivesMeanDeviationAndAsymmetry) {
  const SquareMap maps[] = {{2, {1, 4, 2, 0}}, {2, {3, 8, 2, 0}}};
  const MapStatistics statistics = Summarize(maps);
  EXPECT_EQ(statistics.mean.values, (std::vector<double>{2, 6, 2, 0}));
  EXPECT_EQ(statistics.standard_deviation.values, (std::vector<double>{1, 2, 0, 0}));
  EXPECT_EQ(statistics.asymmetry.values, (std::vector<double>{0, 4, 4, 0}));
}

TEST(SummarizeTest, HasNoDeviationOverOneRun) {
  const SquareMap map = {2, {1, 4, 2, 0}};
  const MapStatistics statistics = Summarize(std::span(&map, 1));
  EXPECT_EQ(statistics.mean, map);
  EXPECT_EQ(statistics.standard_deviation.values, std::vector<double>(4, 0.0));
}

TEST(SummarizeTest, RefusesNoneAndDifferentSizes) {
  EXPECT_THROW(Summarize({}), CheckError);
  const SquareMap maps[] = {{1, {1}}, {2, {1, 2, 3, 4}}};
  EXPECT_THROW(Summarize(maps), CheckError);
}

}  // namespace
}  // namespace dcn::report
