// The all-reduce of dense gradients in the tree's order (common/reduction_tree.h): the same bits
// for any number of ranks.
//
// Rank q receives the q-th range of the parameters of all ranks' nodes, finishes the tree for that
// range, then all ranks gather the sums. One way for any number of ranks, powers of two or not.
// Each rank sends about 4 bytes a parameter and node, and 4 bytes a parameter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "common/aligned_floats.h"
#include "common/reduction_tree.h"
#include "common/status.h"
#include "common/thread_pool.h"
#include "worker/communicator/communicator.h"

namespace dcn::comm {

/// Who has which nodes and which range of the parameters, in one step.
struct ReductionLayout {
  std::vector<std::vector<TreeNode>> nodes;  // by rank: those with a leaf that exists
  std::vector<std::size_t> bounds;           // [ranks + 1]: rank q sums [bounds[q], bounds[q + 1])
  std::vector<SumStep> schedule;             // over the nodes of all ranks, in leaf order
};

/// full_leaves: of a full batch. leaves: of this step's batch, 1 <= leaves <= full_leaves.
/// count: parameters.
[[nodiscard]] ReductionLayout LayOutReduction(std::uint32_t ranks, std::uint32_t full_leaves,
                                              std::uint32_t leaves, std::size_t count);

/// Thread safety: that of its communicator; it uses the pool's threads.
class OrderedReduction {
 public:
  /// Writes this rank's values of the parameters [begin, begin + size) at each of its nodes k to
  /// out[k]. Called once for each part of the parameters, side by side.
  using NodeValues =
      std::function<void(std::size_t begin, std::size_t size, std::span<float* const> out)>;

  /// communicator and pool must outlive this. count: parameters, may be 0.
  OrderedReduction(Communicator& communicator, ThreadPool& pool, std::uint32_t full_leaves,
                   std::size_t count);

  /// The nodes that this rank has in a step of `leaves` leaves; may be none.
  [[nodiscard]] std::span<const TreeNode> NodesOf(std::uint32_t leaves);

  /// Sums over all ranks, in the tree's order: parameters into `sum` [count], and one number of
  /// each node, node_scalars [NodesOf(leaves).size()], which is returned, in double. Errors: those
  /// of Communicator::Exchange.
  [[nodiscard]] Result<double> Run(std::uint32_t leaves, const NodeValues& node_values,
                                   std::span<const double> node_scalars, std::span<float> sum,
                                   std::string_view what);

 private:
  // Where the pieces of one rank lie in a buffer: [nodes] doubles first, then [nodes, range]
  // floats.
  struct Block {
    std::size_t offset = 0;  // floats
    std::size_t nodes = 0;
    std::size_t range = 0;
    [[nodiscard]] std::size_t values() const { return offset + 2 * nodes; }
    [[nodiscard]] std::size_t size() const { return nodes * (2 + range); }
  };
  // Some parameters of one rank's range.
  struct Part {
    std::uint32_t rank = 0;
    std::size_t begin = 0;
    std::size_t size = 0;
  };

  void LayOut(std::uint32_t leaves);
  void PackPart(const Part& part, const NodeValues& node_values);
  void SumPart(const Part& part, std::span<float> sum);
  double SumScalars();

  Communicator& communicator_;
  ThreadPool& pool_;
  const std::uint32_t full_leaves_;
  const std::size_t count_;
  std::uint32_t leaves_ = 0;  // that the rest is laid out for
  ReductionLayout layout_;
  std::vector<Block> outgoing_;  // by receiving rank
  std::vector<Block> incoming_;  // by sending rank
  AlignedFloats send_buffer_;
  AlignedFloats receive_buffer_;
  std::vector<Part> parts_;
  std::vector<float*> entries_;  // of every node, in leaf order: its values of the own range
  std::vector<double> scalars_;  // the same for its number
  std::vector<SendPiece> send_;
  std::vector<ReceivePiece> receive_;
};

}  // namespace dcn::comm
