// The all-reduce of dense gradients on GPUs in the tree's order: the bits of ordered_reduction.h.
//
// The same exchanges and the same sums; the ranks' nodes go from host memory to the GPU first, and
// the sum comes back. All of a step is queued on one stream and waited for once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "common/thread_pool.h"
#include "worker/communicator/dense_reduction.h"
#include "worker/communicator/nccl.h"
#include "worker/communicator/nccl_device.h"
#include "worker/communicator/reduction_layout.h"

namespace dcn::comm {

/// Thread safety: that of its communicator; it uses the pool's threads.
class NcclReduction final : public DenseReduction {
 public:
  /// communicator and pool must outlive this. count: parameters, may be 0. kInternal: no memory.
  [[nodiscard]] static Result<std::unique_ptr<NcclReduction>> Make(NcclCommunicator& communicator,
                                                                   ThreadPool& pool,
                                                                   std::uint32_t full_leaves,
                                                                   std::size_t count);

  [[nodiscard]] std::span<const TreeNode> NodesOf(std::uint32_t leaves) override;
  [[nodiscard]] Result<double> Run(std::uint32_t leaves, const NodeValues& node_values,
                                   std::span<const double> node_scalars, std::span<float> sum,
                                   std::string_view what) override;

 private:
  NcclReduction(NcclCommunicator& communicator, ThreadPool& pool, std::uint32_t full_leaves,
                std::size_t count)
      : communicator_(communicator), pool_(pool), full_leaves_(full_leaves), count_(count) {}
  void LayOut(std::uint32_t leaves);
  Status QueueStep(std::string_view what);
  Status QueueTree();

  NcclCommunicator& communicator_;
  ThreadPool& pool_;
  const std::uint32_t full_leaves_;
  const std::size_t count_;
  std::uint32_t leaves_ = 0;  // that the rest is laid out for
  ReductionLayout layout_;
  ReductionBuffers buffers_;
  GpuFloats send_;          // on the GPU, as are the next two
  GpuFloats receive_;       // [buffers_.received]
  GpuFloats sum_;           // [count]
  GpuFloats host_send_;     // pinned, as are the next two
  GpuFloats host_scalars_;  // [2 x nodes of all ranks]: doubles, in leaf order
  GpuFloats host_sum_;      // [count]
  std::vector<double> scalars_;
  std::vector<SendPiece> send_pieces_;
  std::vector<ReceivePiece> receive_pieces_;
  std::vector<SendPiece> gather_send_;
  std::vector<ReceivePiece> gather_receive_;
};

}  // namespace dcn::comm
