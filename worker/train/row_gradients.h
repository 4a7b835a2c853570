// Sums the gradients of one embedding row over its occurrences in a batch.
//
// Within a leaf (slice) the occurrences are added in batch order, starting from the first; the
// leaves' sums meet in the fixed tree (common/reduction_tree.h), absent leaves skipped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/reduction_tree.h"

namespace dcn::train {

/// Thread safety: one summer a thread (it keeps the partial sums of one row at a time).
class RowGradientSummer {
 public:
  /// slice_rows: batch rows in a leaf. max_dimension: of all tables. first_leaf: the leaf of row 0
  /// (that of a whole batch is 0).
  RowGradientSummer(std::size_t slice_rows, std::size_t max_dimension,
                    std::uint32_t first_leaf = 0);
  // Immovable: the sum's callable points into this object.
  RowGradientSummer(const RowGradientSummer&) = delete;
  RowGradientSummer& operator=(const RowGradientSummer&) = delete;

  /// out[dimension] = the tree's sum of gradients[row * stride .. + dimension] over `occurrences`
  /// (rows from the first leaf on, increasing, at least one); dimension = out.size().
  void Sum(std::span<const std::uint32_t> occurrences, const float* gradients, std::size_t stride,
           std::span<float> out);

 private:
  struct AddRows {
    RowGradientSummer* summer;
    void operator()(std::uint32_t& left, std::uint32_t&& right) const;
  };

  template <std::size_t kDimension>
  void SumOf(std::span<const std::uint32_t> occurrences, const float* gradients, std::size_t stride,
             std::span<float> out);

  [[nodiscard]] float* partial(std::size_t place) { return &partials_[place * max_dimension_]; }

  const std::size_t slice_rows_;
  const std::size_t max_dimension_;
  const std::uint32_t first_leaf_;
  std::size_t dimension_ = 0;    // of the row being summed
  std::vector<float> partials_;  // [kMaxPending, max_dimension]
  OrderedSum<std::uint32_t, AddRows> sum_;
};

}  // namespace dcn::train
