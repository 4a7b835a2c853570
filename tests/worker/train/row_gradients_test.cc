#include "worker/train/row_gradients.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "common/random.h"
#include "worker/model/bfloat16.h"
#include "worker/model/elementwise.h"

namespace dcn::train {
namespace {

using Row = std::vector<float>;

Row Add(const Row& a, const Row& b) {
  Row sum(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) sum[i] = a[i] + b[i];
  return sum;
}

// The definition: the value of node (level, index), or nothing where no leaf below it has any.
std::optional<Row> NodeValue(const std::map<std::uint32_t, Row>& leaves, std::uint32_t level,
                             std::uint32_t index) {
  if (level == 0) {
    const auto leaf = leaves.find(index);
    return leaf == leaves.end() ? std::nullopt : std::optional(leaf->second);
  }
  const auto left = NodeValue(leaves, level - 1, 2 * index);
  const auto right = NodeValue(leaves, level - 1, 2 * index + 1);
  if (left && right) return Add(*left, *right);
  return left ? left : right;
}

Row SumByDefinition(const std::vector<std::uint32_t>& occurrences, const std::vector<float>& all,
                    std::size_t stride, std::size_t dimension, std::size_t slice_rows) {
  std::map<std::uint32_t, Row> leaves;
  for (const std::uint32_t row : occurrences) {
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(row * stride);
    const Row gradient(begin, begin + static_cast<std::ptrdiff_t>(dimension));
    const auto leaf = static_cast<std::uint32_t>(row / slice_rows);
    const auto [found, is_new] = leaves.emplace(leaf, gradient);
    if (!is_new) found->second = Add(found->second, gradient);
  }
  return *NodeValue(leaves, 12, 0);
}

// Rows as they are, and as Bfloat16 where that changes none of their values.
std::vector<model::Bfloat16> Rounded(std::vector<float>& values) {
  std::vector<model::Bfloat16> rounded(values.size());
  model::Round(values.size(), values.data(), rounded.data());
  std::ranges::transform(rounded, values.begin(), [](auto value) { return ToFloat(value); });
  return rounded;
}

class RowGradientSums : public ::testing::TestWithParam<std::size_t> {};  // the row's dimension

TEST_P(RowGradientSums, FollowTheTreesDefinition) {
  const std::size_t dimension = GetParam();
  const std::size_t stride = dimension + 3;
  constexpr std::size_t kRows = 200;
  const RandomStream random(3, dimension);
  std::vector<float> gradients(kRows * stride);
  random.FillUniform(1.0F, 0, gradients);
  std::vector<float> bf16_values = gradients;
  const std::vector<model::Bfloat16> bf16 = Rounded(bf16_values);
  for (const std::size_t slice_rows : {1U, 3U, 8U, 200U}) {
    RowGradientSummer summer(slice_rows);
    for (std::uint64_t trial = 0; trial < 60; ++trial) {
      std::vector<std::uint32_t> occurrences;
      const double density = trial % 6 == 0 ? 1.0 : 0.2 * static_cast<double>(trial % 5) + 0.02;
      for (std::uint32_t row = 0; row < kRows; ++row) {
        if (random.Uniform(1'000'000 + trial * kRows + row) < density) occurrences.push_back(row);
      }
      if (occurrences.empty()) occurrences.push_back(static_cast<std::uint32_t>(trial));
      Row sum(dimension, -1.0F);
      summer.Sum(occurrences, gradients.data(), stride, sum);
      ASSERT_EQ(sum, SumByDefinition(occurrences, gradients, stride, dimension, slice_rows))
          << "slices of " << slice_rows << ", " << occurrences.size() << " occurrences";
      summer.Sum(occurrences, bf16.data(), stride, sum);
      ASSERT_EQ(sum, SumByDefinition(occurrences, bf16_values, stride, dimension, slice_rows))
          << "bf16, slices of " << slice_rows << ", " << occurrences.size() << " occurrences";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Dimensions, RowGradientSums,
                         ::testing::Values(1, 7, 16, 31, 32, 47, 64, 100));

}  // namespace
}  // namespace dcn::train
