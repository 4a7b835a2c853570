// The all-reduce of dense gradients as NCCL does it: the least traffic, in an order of NCCL's own.
//
// Each rank sums its own nodes in order, then ncclAllReduce sums over ranks, in an order that
// depends on their number and on the machine: these bits are outside the promise of one answer
// (--reduce fast).
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

namespace dcn::comm {

/// Thread safety: that of its communicator; it uses the pool's threads.
class NcclAllReduce final : public DenseReduction {
 public:
  /// communicator and pool must outlive this. count: parameters, may be 0. kInternal: no memory.
  [[nodiscard]] static Result<std::unique_ptr<NcclAllReduce>> Make(NcclCommunicator& communicator,
                                                                   ThreadPool& pool,
                                                                   std::uint32_t full_leaves,
                                                                   std::size_t count);

  [[nodiscard]] std::span<const TreeNode> NodesOf(std::uint32_t leaves) override;
  [[nodiscard]] Result<double> Run(std::uint32_t leaves, const NodeValues& node_values,
                                   std::span<const double> node_scalars, std::span<float> sum,
                                   std::string_view what) override;

 private:
  NcclAllReduce(NcclCommunicator& communicator, ThreadPool& pool, std::uint32_t full_leaves,
                std::size_t count)
      : communicator_(communicator), pool_(pool), full_leaves_(full_leaves), count_(count) {}
  Status QueueStep(std::string_view what);
  void PackOwn(const NodeValues& node_values, std::span<const double> node_scalars);

  NcclCommunicator& communicator_;
  ThreadPool& pool_;
  const std::uint32_t full_leaves_;
  const std::size_t count_;
  std::uint32_t leaves_ = 0;        // that nodes_ are of
  std::vector<TreeNode> nodes_;     // of this rank
  std::vector<float> node_values_;  // [nodes, count]
  GpuFloats values_;                // on the GPU: the scalar, a double, then [count]
  GpuFloats host_values_;           // pinned; the same
};

}  // namespace dcn::comm
