#include "worker/train/row_gradients.h"

#include <bit>

#include "common/check.h"

namespace dcn::train {

using model::LoadLanes;
using model::StoreLanes;

RowGradientSummer::RowGradientSummer(std::size_t slice_rows, std::uint32_t first_leaf)
    : slice_rows_(static_cast<std::uint32_t>(slice_rows)),
      slice_shift_(std::has_single_bit(slice_rows) ? std::countr_zero(slice_rows) : -1),
      first_leaf_(first_leaf) {
  DCN_CHECK_EQ(slice_rows_, slice_rows);
}

template <typename Element>
void RowGradientSummer::Sum(std::span<const std::uint32_t> occurrences, const Element* gradients,
                            std::size_t stride, std::span<float> out) {
  DCN_CHECK(!occurrences.empty());
  std::size_t i = 0;
  for (; i + 2 * kLanes <= out.size(); i += 2 * kLanes) {
    SumColumns(occurrences, gradients + i, stride, AllLanes{}, thirty_two_, &out[i]);
  }
  if (i == out.size()) return;  // mostly: the call below costs as much as adding a row
  ForLanes(out.size() - i, [&](std::size_t first, auto count) {
    SumColumns(occurrences, gradients + i + first, stride, count, sixteen_, &out[i + first]);
  });
}

// The columns from `gradients` on, `count` lanes of each sixteen.
template <std::size_t kSixteens, typename Element, typename Count>
void RowGradientSummer::SumColumns(std::span<const std::uint32_t> occurrences,
                                   const Element* gradients, std::size_t stride, Count count,
                                   ColumnSum<kSixteens>& sum, float* out) const {
  const std::uint32_t* next = occurrences.data();
  const std::uint32_t* const last = next + occurrences.size();
  Columns<kSixteens> columns;
  while (true) {
    const std::uint32_t leaf = LeafOf(*next);
    const std::uint32_t leaf_end = (leaf + 1) * slice_rows_;
    const Element* row = gradients + *next * stride;
    for (std::size_t k = 0; k < kSixteens; ++k) {
      columns.lanes[k] = LoadLanes(row + k * kLanes, count);
    }
    for (++next; next != last && *next < leaf_end; ++next) {
      row = gradients + *next * stride;
      for (std::size_t k = 0; k < kSixteens; ++k) {
        columns.lanes[k] = columns.lanes[k] + LoadLanes(row + k * kLanes, count);
      }
    }
    if (next == last && sum.empty()) break;  // one leaf: no tree
    sum.Push(TreeNode{0, first_leaf_ + leaf}, columns);
    if (next == last) {
      columns = sum.Take();
      break;
    }
  }
  for (std::size_t k = 0; k < kSixteens; ++k) {
    StoreLanes(columns.lanes[k], out + k * kLanes, count);
  }
}

template void RowGradientSummer::Sum(std::span<const std::uint32_t>, const float*, std::size_t,
                                     std::span<float>);
template void RowGradientSummer::Sum(std::span<const std::uint32_t>, const model::Bfloat16*,
                                     std::size_t, std::span<float>);

}  // namespace dcn::train
