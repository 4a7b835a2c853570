// Sums the gradients of one embedding row over its occurrences in a batch.
//
// Within a leaf (slice) the occurrences are added in batch order, starting from the first; the
// leaves' sums meet in the fixed tree (common/reduction_tree.h), absent leaves skipped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "common/aligned_floats.h"
#include "common/lanes.h"
#include "common/reduction_tree.h"
#include "worker/model/bfloat16.h"

namespace dcn::train {

/// Aligned, so that threads' summers share no cache line.
/// Thread safety: one summer a thread (it keeps the partial sums of one row at a time).
class alignas(kCacheLineBytes) RowGradientSummer {
 public:
  /// slice_rows: batch rows in a leaf, below 2^32. first_leaf: the leaf of row 0 (that of a whole
  /// batch is 0).
  explicit RowGradientSummer(std::size_t slice_rows, std::uint32_t first_leaf = 0);

  /// out[dimension] = the tree's sum of gradients[row * stride .. + dimension] over `occurrences`
  /// (rows from the first leaf on, increasing, at least one); dimension = out.size(). Element:
  /// float or Bfloat16, whose sums are float's.
  template <typename Element>
  void Sum(std::span<const std::uint32_t> occurrences, const Element* gradients, std::size_t stride,
           std::span<float> out);

 private:
  // Some sixteens of a row's columns, and their sum over the tree.
  template <std::size_t kSixteens>
  struct Columns {
    Lanes lanes[kSixteens];
  };
  struct AddColumns {
    template <std::size_t kSixteens>
    void operator()(Columns<kSixteens>& left, Columns<kSixteens>&& right) const {
      for (std::size_t k = 0; k < kSixteens; ++k) left.lanes[k] = left.lanes[k] + right.lanes[k];
    }
  };
  template <std::size_t kSixteens>
  using ColumnSum = OrderedSum<Columns<kSixteens>, AddColumns>;

  template <std::size_t kSixteens, typename Element, typename Count>
  void SumColumns(std::span<const std::uint32_t> occurrences, const Element* gradients,
                  std::size_t stride, Count count, ColumnSum<kSixteens>& sum, float* out) const;
  [[nodiscard]] std::uint32_t LeafOf(std::uint32_t row) const {
    return slice_shift_ >= 0 ? row >> slice_shift_ : row / slice_rows_;
  }

  const std::uint32_t slice_rows_;
  const int slice_shift_;  // its logarithm, or -1: dividing costs as much as adding a row
  const std::uint32_t first_leaf_;
  ColumnSum<1> sixteen_{AddColumns{}};
  ColumnSum<2> thirty_two_{AddColumns{}};
};

}  // namespace dcn::train
