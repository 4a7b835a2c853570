// Who has which part of the dense gradients while the ranks combine them, and where it lies.
//
// Rank q receives the q-th range of the parameters of all ranks' nodes, finishes the tree for that
// range, then all ranks gather the sums. Plain numbers, the same for host memory and for GPUs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/reduction_tree.h"
#include "common/thread_pool.h"
#include "worker/communicator/dense_reduction.h"

namespace dcn::comm {

/// Parameters that one thread packs or sums at a time.
inline constexpr std::size_t kReductionPartSize = 2048;
/// A node's number, a double, in a buffer of floats.
inline constexpr std::size_t kScalarFloats = sizeof(double) / sizeof(float);

/// Who has which nodes and which range of the parameters, in one step.
struct ReductionLayout {
  std::vector<std::vector<TreeNode>> nodes;  // by rank: those with a leaf that exists
  std::vector<std::size_t> bounds;           // [ranks + 1]: rank q sums [bounds[q], bounds[q + 1])
  std::vector<SumStep> schedule;             // over the nodes of all ranks, in leaf order

  [[nodiscard]] std::size_t range(std::size_t rank) const {
    return bounds[rank + 1] - bounds[rank];
  }
};

/// full_leaves: of a full batch. leaves: of this step's batch, 1 <= leaves <= full_leaves.
/// count: parameters.
[[nodiscard]] ReductionLayout LayOutReduction(std::uint32_t ranks, std::uint32_t full_leaves,
                                              std::uint32_t leaves, std::size_t count);

/// What one rank sends to another, in a buffer of floats: [nodes] doubles, then [nodes, range]
/// floats.
struct ReductionBlock {
  std::size_t offset = 0;  // in the buffer, floats
  std::size_t nodes = 0;
  std::size_t range = 0;
  /// Where node k's floats begin.
  [[nodiscard]] std::size_t values(std::size_t k) const {
    return offset + kScalarFloats * nodes + k * range;
  }
  [[nodiscard]] std::size_t size() const { return nodes * (kScalarFloats + range); }
};

/// Some parameters of one rank's range.
struct ReductionPart {
  std::uint32_t rank = 0;
  std::size_t begin = 0;
  std::size_t size = 0;
};

/// One rank's send and receive buffer in one step.
struct ReductionBuffers {
  std::vector<ReductionBlock> outgoing;  // by receiving rank
  std::vector<ReductionBlock> incoming;  // by sending rank
  std::vector<std::size_t> entries;      // of every node, in leaf order: where in the receive
                                         // buffer its floats of the own range begin
  std::vector<ReductionPart> parts;      // all parameters
  std::size_t sent = 0;                  // floats
  std::size_t received = 0;              // floats
};

/// The buffers of rank `own`. Shorter batches never need longer ones.
[[nodiscard]] ReductionBuffers LayOutBuffers(const ReductionLayout& layout, std::size_t own);

/// Fills rank `own`'s send buffer, by the pool's threads.
void PackNodes(const ReductionLayout& layout, const ReductionBuffers& buffers,
               const NodeValues& node_values, std::span<const double> node_scalars,
               std::span<float> send_buffer, ThreadPool& pool);

/// Finishes the tree for one number of every node, in leaf order; they are overwritten.
[[nodiscard]] double FinishTree(const ReductionLayout& layout, std::span<double> scalars);

}  // namespace dcn::comm
