// The slow, obvious parameter server: the oracle for the fast and distributed one.
//
// A table is a map from keys to plain vectors, every row of it is swept at every step, and the tree
// of partial sums is its definition written out. Scalar loops, no replay, no shards.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "ps/protocol.h"
#include "ps/table/initializer.h"

namespace dcn::ps::testing {

/// One Adam step of one lane, as ps/table/optimizer/adam.h says it rounds.
inline void SlowAdamLane(float beta_1, float beta_2, float epsilon, float step_size, float g,
                         float& w, float& m, float& v) {
  const float square = g * g;
  const float from_g = (1.0F - beta_1) * g;
  const float from_square = (1.0F - beta_2) * square;
  const float kept_m = beta_1 * m;
  const float kept_v = beta_2 * v;
  m = kept_m + from_g;
  v = kept_v + from_square;
  const float numerator = step_size * m;
  const float denominator = std::sqrt(v) + epsilon;
  const float change = numerator / denominator;
  w = w - change;
}

/// lr sqrt(1 - b2^t) / (1 - b1^t), by repeated multiplication.
inline float SlowStepSize(float learning_rate, float beta_1, float beta_2, Step step) {
  double power_1 = 1;
  double power_2 = 1;
  for (Step t = 0; t < step; ++t) {
    power_1 *= static_cast<double>(beta_1);
    power_2 *= static_cast<double>(beta_2);
  }
  return static_cast<float>(static_cast<double>(learning_rate) * std::sqrt(1 - power_2) /
                            (1 - power_1));
}

/// The value of node (level, index): left + right, or the only one that is there.
/// parts: values by (level, index), disjoint.
using TreeParts = std::map<std::pair<std::uint32_t, std::uint32_t>, std::vector<float>>;
inline std::optional<std::vector<float>> SlowTreeValue(const TreeParts& parts, std::uint32_t level,
                                                       std::uint32_t index) {
  if (const auto found = parts.find({level, index}); found != parts.end()) return found->second;
  if (level == 0) return std::nullopt;
  auto left = SlowTreeValue(parts, level - 1, 2 * index);
  const auto right = SlowTreeValue(parts, level - 1, 2 * index + 1);
  if (!left) return right;
  if (!right) return left;
  for (std::size_t i = 0; i < left->size(); ++i) (*left)[i] = (*left)[i] + (*right)[i];
  return left;
}

/// One table. Thread safety: none.
class SlowTable {
 public:
  struct Row {
    std::vector<float> w, m, v;  // Adagrad's accumulator is m
  };

  explicit SlowTable(TableDefinition definition) : definition_(std::move(definition)) {}

  /// The row, made with its first value if it is not there.
  Row& At(Key key) {
    const auto [place, is_new] = rows_.try_emplace(key);
    if (is_new) place->second = FreshRow(FirstValue(key));
    return place->second;
  }

  void Assign(Key key, std::vector<float> w) { rows_[key] = FreshRow(std::move(w)); }

  /// Applies the next step: `gradients` by key, each the sum over the whole batch.
  void ApplyStep(float learning_rate, const std::map<Key, std::vector<float>>& gradients) {
    ++step_;
    step_size_ = StepSize(learning_rate);
    for (const auto& entry : gradients) At(entry.first);
    for (auto& [key, row] : rows_) {
      const auto found = gradients.find(key);
      Move(learning_rate, found == gradients.end() ? nullptr : &found->second, row);
    }
  }

 private:
  std::vector<float> FirstValue(Key key) const {
    std::vector<float> w(definition_.dimension);
    RowInitializer(definition_.initializer, definition_.name).Fill(key, w);
    return w;
  }

  Row FreshRow(std::vector<float> w) const {
    const auto* adagrad = std::get_if<AdagradOptions>(&definition_.optimizer);
    const float m = adagrad != nullptr ? adagrad->initial_accumulator : 0.0F;
    const std::size_t size = w.size();
    return {std::move(w), std::vector<float>(size, m), std::vector<float>(size, 0.0F)};
  }

  void Move(float learning_rate, const std::vector<float>* g, Row& row) const {
    if (const auto* adam = std::get_if<AdamOptions>(&definition_.optimizer)) {
      MoveAdam(*adam, g, row);
    }
    if (g == nullptr) return;
    if (const auto* lazy = std::get_if<LazyAdamOptions>(&definition_.optimizer)) {
      MoveAdam(*lazy, g, row);
    } else if (const auto* adagrad = std::get_if<AdagradOptions>(&definition_.optimizer)) {
      for (std::size_t i = 0; i < row.w.size(); ++i) {
        const float square = (*g)[i] * (*g)[i];
        row.m[i] = row.m[i] + square;
        const float numerator = learning_rate * (*g)[i];
        const float denominator = std::sqrt(row.m[i]) + adagrad->epsilon;
        row.w[i] = row.w[i] - numerator / denominator;
      }
    } else if (std::holds_alternative<SgdOptions>(definition_.optimizer)) {
      for (std::size_t i = 0; i < row.w.size(); ++i) {
        const float change = learning_rate * (*g)[i];
        row.w[i] = row.w[i] - change;
      }
    }
  }

  template <typename Options>
  void MoveAdam(const Options& o, const std::vector<float>* g, Row& row) const {
    for (std::size_t i = 0; i < row.w.size(); ++i) {
      SlowAdamLane(o.beta_1, o.beta_2, o.epsilon, step_size_, g == nullptr ? 0.0F : (*g)[i],
                   row.w[i], row.m[i], row.v[i]);
    }
  }

  // Of the current step, if the rule is a form of Adam.
  float StepSize(float learning_rate) const {
    if (const auto* adam = std::get_if<AdamOptions>(&definition_.optimizer)) {
      return SlowStepSize(learning_rate, adam->beta_1, adam->beta_2, step_);
    }
    if (const auto* lazy = std::get_if<LazyAdamOptions>(&definition_.optimizer)) {
      return SlowStepSize(learning_rate, lazy->beta_1, lazy->beta_2, step_);
    }
    return 0;
  }

  TableDefinition definition_;
  Step step_ = 0;
  float step_size_ = 0;
  std::map<Key, Row> rows_;
};

}  // namespace dcn::ps::testing
