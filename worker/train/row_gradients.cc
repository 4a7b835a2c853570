#include "worker/train/row_gradients.h"

#include <algorithm>

#include "common/check.h"
#include "common/vectorize.h"

namespace dcn::train {
namespace {

// kDimension 0: the width is known at run time only.
template <std::size_t kDimension>
void Add(float* into, const float* from, std::size_t dimension) {
  const std::size_t count = kDimension == 0 ? dimension : kDimension;
  DCN_INDEPENDENT_ITERATIONS
  for (std::size_t i = 0; i < count; ++i) into[i] += from[i];
}

// As a loop it becomes a few moves; std::copy_n calls memmove.
template <std::size_t kDimension>
void Copy(const float* from, std::size_t dimension, float* to) {
  const std::size_t count = kDimension == 0 ? dimension : kDimension;
  DCN_INDEPENDENT_ITERATIONS
  for (std::size_t i = 0; i < count; ++i) to[i] = from[i];
}

// Adds the occurrences from `first` on that lie in one leaf; returns the first one behind it.
template <std::size_t kDimension>
const std::uint32_t* FoldLeaf(const std::uint32_t* first, const std::uint32_t* last,
                              std::size_t leaf_end, const float* gradients, std::size_t stride,
                              std::size_t dimension, float* out) {
  Copy<kDimension>(gradients + *first * stride, dimension, out);
  for (++first; first != last && *first < leaf_end; ++first) {
    Add<kDimension>(out, gradients + *first * stride, dimension);
  }
  return first;
}

}  // namespace

RowGradientSummer::RowGradientSummer(std::size_t slice_rows, std::size_t max_dimension,
                                     std::uint32_t first_leaf)
    : slice_rows_(slice_rows),
      max_dimension_(max_dimension),
      first_leaf_(first_leaf),
      partials_(decltype(sum_)::kMaxPending * max_dimension),
      sum_(AddRows{this}) {}

void RowGradientSummer::AddRows::operator()(std::uint32_t& left, std::uint32_t&& right) const {
  Add<0>(summer->partial(left), summer->partial(right), summer->dimension_);
}

void RowGradientSummer::Sum(std::span<const std::uint32_t> occurrences, const float* gradients,
                            std::size_t stride, std::span<float> out) {
  DCN_CHECK(!occurrences.empty());
  switch (out.size()) {
    case 16:
      return SumOf<16>(occurrences, gradients, stride, out);
    case 32:
      return SumOf<32>(occurrences, gradients, stride, out);
    case 64:
      return SumOf<64>(occurrences, gradients, stride, out);
    default:
      return SumOf<0>(occurrences, gradients, stride, out);
  }
}

template <std::size_t kDimension>
void RowGradientSummer::SumOf(std::span<const std::uint32_t> occurrences, const float* gradients,
                              std::size_t stride, std::span<float> out) {
  dimension_ = out.size();
  const std::uint32_t* next = occurrences.data();
  const std::uint32_t* const last = next + occurrences.size();
  if (*next / slice_rows_ == *(last - 1) / slice_rows_) {  // one leaf: no tree
    FoldLeaf<kDimension>(next, last, (*next / slice_rows_ + 1) * slice_rows_, gradients, stride,
                         dimension_, out.data());
    return;
  }
  while (next != last) {
    const std::size_t leaf = *next / slice_rows_;
    const TreeNode node{0, first_leaf_ + static_cast<std::uint32_t>(leaf)};
    sum_.CollapseBefore(node);
    const auto place = static_cast<std::uint32_t>(sum_.size());
    next = FoldLeaf<kDimension>(next, last, (leaf + 1) * slice_rows_, gradients, stride, dimension_,
                                partial(place));
    sum_.Push(node, place);
  }
  std::copy_n(partial(sum_.Take()), dimension_, out.data());
}

}  // namespace dcn::train
