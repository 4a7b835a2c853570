// The all-reduce of dense gradients over the ranks, as the training step sees it.
//
// Implementations: over any communicator on host memory (ordered_reduction.h), and on GPUs
// (nccl_reduction.h, the same bits; nccl_all_reduce.h, NCCL's own sum).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "common/reduction_tree.h"
#include "common/status.h"

namespace dcn::comm {

/// Writes this rank's values of the parameters [begin, begin + size) at each of its nodes k to
/// out[k]. Called by several threads, once for each part of the parameters, side by side.
using NodeValues =
    std::function<void(std::size_t begin, std::size_t size, std::span<float* const> out)>;

/// Called by all ranks in the same order. Thread safety: that of its communicator.
class DenseReduction {
 public:
  virtual ~DenseReduction() = default;

  /// The nodes that this rank has in a step of `leaves` leaves, at least 1; may be none.
  [[nodiscard]] virtual std::span<const TreeNode> NodesOf(std::uint32_t leaves) = 0;

  /// Sums over all ranks: parameters into `sum`, and one number of each node, node_scalars
  /// [NodesOf(leaves).size()], which is returned, in double. All ranks get the same. what: for
  /// errors. Errors: those of Communicator::Exchange.
  [[nodiscard]] virtual Result<double> Run(std::uint32_t leaves, const NodeValues& node_values,
                                           std::span<const double> node_scalars,
                                           std::span<float> sum, std::string_view what) = 0;
};

}  // namespace dcn::comm
