// Sums the partial gradients of one row in the order of the tree.
//
// Values are read where they are and sums written into the result's memory; nothing is allocated
// once the tree's stack has reached its depth.
#pragma once

#include <cstddef>
#include <cstring>
#include <utility>

#include "common/reduction_tree.h"

namespace dcn::ps {

/// Sums rows of one dimension, one after the other. Thread safety: none.
class RowSum {
 public:
  explicit RowSum(std::size_t dimension) : dimension_(dimension), tree_(AddRows{dimension}) {}

  [[nodiscard]] std::size_t dimension() const { return dimension_; }

  /// Starts a row whose sum goes to `out`, which has room for as many rows as partials will come:
  /// the places behind the first are written over.
  void Begin(float* out) {
    out_ = out;
    next_ = out;
  }

  /// Adds the partial sum at `node`: disjoint from the earlier ones, behind them in leaf order.
  /// values: [dimension], valid until Finish, outside `out`.
  void Add(TreeNode node, const float* values) {
    tree_.Push(node, {.values = values, .sum = next_});
    next_ += dimension_;
  }

  /// Leaves the sum in the first row of `out`. REQUIRES: at least one Add since Begin.
  void Finish() {
    const Partial root = tree_.Take();
    if (root.values != out_) std::memcpy(out_, root.values, dimension_ * sizeof(float));
  }

 private:
  // A value on its way through the tree: where it is, and where a sum that starts with it goes.
  struct Partial {
    const float* values = nullptr;
    float* sum = nullptr;
  };
  struct AddRows {
    std::size_t dimension;
    void operator()(Partial& left, Partial&& right) const {
      for (std::size_t i = 0; i < dimension; ++i) left.sum[i] = left.values[i] + right.values[i];
      left.values = left.sum;
    }
  };

  std::size_t dimension_;
  OrderedSum<Partial, AddRows> tree_;
  float* out_ = nullptr;
  float* next_ = nullptr;
};

}  // namespace dcn::ps
