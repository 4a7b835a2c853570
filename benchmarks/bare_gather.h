// The yardstick of a pull: a loop that hashes keys, gathers rows of 32 floats out of a table in
// this process and checksums them, without any server around it.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "common/aligned_floats.h"
#include "ps/protocol.h"
#include "ps/table/row_index.h"

namespace dcn::benchmarks {

/// The rows of TableWorkload, in one array. Thread safety: none.
class BareGather {
 public:
  explicit BareGather(std::size_t rows);

  /// Gathers the rows of these keys. REQUIRES: keys below `rows`.
  void Gather(std::span<const ps::Key> keys);
  /// What was gathered last, [keys, 32].
  [[nodiscard]] std::span<const float> gathered() const { return gathered_; }

 private:
  ps::RowIndex index_;
  AlignedFloats table_;
  std::vector<float> gathered_;
};

}  // namespace dcn::benchmarks
