// What one worker asks of a shard in a step: a gradient for every row of a batch of MovieLens-1M,
// and the same rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ps/protocol.h"

namespace dcn::benchmarks {

/// Owns what its requests point to. Thread safety: none.
class StepRequest {
 public:
  static constexpr ps::Step kStep = 184;

  explicit StepRequest(std::size_t dimension);
  StepRequest(const StepRequest&) = delete;
  StepRequest& operator=(const StepRequest&) = delete;

  [[nodiscard]] ps::PushRequest push() const;
  [[nodiscard]] std::span<const ps::RowsToPull> pull() const { return pull_; }
  /// The gradients of all rows, [rows, dimension], table by table.
  [[nodiscard]] std::span<const float> values() const { return values_; }
  [[nodiscard]] std::size_t dimension() const { return dimension_; }
  /// Rows of all tables.
  [[nodiscard]] std::size_t rows() const { return keys_.size(); }

 private:
  const std::size_t dimension_;
  std::vector<ps::Key> keys_;
  std::vector<std::uint16_t> nodes_;
  std::vector<float> values_;
  std::vector<float> pulled_;
  std::vector<ps::RowGradients> gradients_;
  std::vector<ps::RowsToPull> pull_;
};

}  // namespace dcn::benchmarks
