// The all-reduce of dense gradients in the tree's order (common/reduction_tree.h): the same bits
// for any number of ranks, over any communicator, on host memory.
//
// One way for any number of ranks, powers of two or not (reduction_layout.h). Each rank sends about
// 4 bytes a parameter and node, and 4 bytes a parameter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "common/aligned_floats.h"
#include "common/thread_pool.h"
#include "worker/communicator/communicator.h"
#include "worker/communicator/dense_reduction.h"
#include "worker/communicator/reduction_layout.h"

namespace dcn::comm {

/// Thread safety: that of its communicator; it uses the pool's threads.
class OrderedReduction final : public DenseReduction {
 public:
  /// communicator and pool must outlive this. count: parameters, may be 0.
  OrderedReduction(Communicator& communicator, ThreadPool& pool, std::uint32_t full_leaves,
                   std::size_t count);

  [[nodiscard]] std::span<const TreeNode> NodesOf(std::uint32_t leaves) override;
  [[nodiscard]] Result<double> Run(std::uint32_t leaves, const NodeValues& node_values,
                                   std::span<const double> node_scalars, std::span<float> sum,
                                   std::string_view what) override;

 private:
  void LayOut(std::uint32_t leaves);
  double SumScalars();
  void SumPart(const ReductionPart& part, std::span<float> sum);

  Communicator& communicator_;
  ThreadPool& pool_;
  const std::uint32_t full_leaves_;
  const std::size_t count_;
  std::uint32_t leaves_ = 0;  // that the rest is laid out for
  ReductionLayout layout_;
  ReductionBuffers buffers_;
  AlignedFloats send_buffer_;
  AlignedFloats receive_buffer_;
  std::vector<double> scalars_;  // of every node, in leaf order
  std::vector<SendPiece> send_;
  std::vector<ReceivePiece> receive_;
};

}  // namespace dcn::comm
