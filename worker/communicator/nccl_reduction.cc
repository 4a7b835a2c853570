#include "worker/communicator/nccl_reduction.h"

#include <cstring>

#include "common/check.h"
#include "worker/communicator/nccl_border.h"
#include "worker/communicator/nccl_kernels.h"

namespace dcn::comm {

Result<std::unique_ptr<NcclReduction>> NcclReduction::Make(NcclCommunicator& communicator,
                                                           ThreadPool& pool,
                                                           std::uint32_t full_leaves,
                                                           std::size_t count) {
  using enum GpuFloats::Place;
  std::unique_ptr<NcclReduction> made(new NcclReduction(communicator, pool, full_leaves, count));
  const auto ranks = static_cast<std::uint32_t>(communicator.size());
  const auto own = static_cast<std::size_t>(communicator.rank());
  const ReductionBuffers full =
      LayOutBuffers(LayOutReduction(ranks, full_leaves, full_leaves, count), own);
  const std::size_t scalar_floats = kScalarFloats * full.entries.size();
  DCN_ASSIGN_OR_RETURN(made->send_, GpuFloats::Make(kDevice, full.sent));
  DCN_ASSIGN_OR_RETURN(made->receive_, GpuFloats::Make(kDevice, full.received));
  DCN_ASSIGN_OR_RETURN(made->sum_, GpuFloats::Make(kDevice, count));
  DCN_ASSIGN_OR_RETURN(made->host_send_, GpuFloats::Make(kPinnedHost, full.sent));
  DCN_ASSIGN_OR_RETURN(made->host_scalars_, GpuFloats::Make(kPinnedHost, scalar_floats));
  DCN_ASSIGN_OR_RETURN(made->host_sum_, GpuFloats::Make(kPinnedHost, count));
  return made;
}

std::span<const TreeNode> NcclReduction::NodesOf(std::uint32_t leaves) {
  LayOut(leaves);
  return layout_.nodes[static_cast<std::size_t>(communicator_.rank())];
}

void NcclReduction::LayOut(std::uint32_t leaves) {
  DCN_CHECK_GE(leaves, 1U);
  DCN_CHECK_LE(leaves, full_leaves_);
  if (leaves == leaves_) return;
  const auto ranks = static_cast<std::uint32_t>(communicator_.size());
  const auto own = static_cast<std::size_t>(communicator_.rank());
  layout_ = LayOutReduction(ranks, full_leaves_, leaves, count_);
  buffers_ = LayOutBuffers(layout_, own);
  leaves_ = leaves;
  send_pieces_.clear();
  receive_pieces_.clear();
  gather_send_.assign(ranks, {});
  gather_receive_.assign(ranks, {});
  const auto range = [&](std::size_t q) {
    return sum_.span().subspan(layout_.bounds[q], layout_.range(q));
  };
  for (std::size_t q = 0; q < ranks; ++q) {
    const ReductionBlock& out = buffers_.outgoing[q];
    const ReductionBlock& in = buffers_.incoming[q];
    send_pieces_.push_back(std::as_bytes(send_.span().subspan(out.offset, out.size())));
    receive_pieces_.push_back(
        std::as_writable_bytes(receive_.span().subspan(in.offset, in.size())));
    if (q == own) continue;  // it is in place
    gather_send_[q] = std::as_bytes(range(own));
    gather_receive_[q] = std::as_writable_bytes(range(q));
  }
}

Result<double> NcclReduction::Run(std::uint32_t leaves, const NodeValues& node_values,
                                  std::span<const double> node_scalars, std::span<float> sum,
                                  std::string_view what) {
  DCN_CHECK_EQ(node_scalars.size(), NodesOf(leaves).size());
  DCN_CHECK_EQ(sum.size(), count_);
  PackNodes(layout_, buffers_, node_values, node_scalars, host_send_.span(), pool_);
  DCN_RETURN_IF_ERROR(communicator_.AbortUnlessOk(QueueStep(what)));
  DCN_RETURN_IF_ERROR(communicator_.Wait(what));
  pool_.ParallelFor(buffers_.parts.size(), [&](int, std::size_t i) {
    const ReductionPart& part = buffers_.parts[i];
    std::memcpy(sum.data() + part.begin, host_sum_.span().data() + part.begin,
                part.size * sizeof(float));
  });
  scalars_.resize(buffers_.entries.size());
  std::memcpy(scalars_.data(), host_scalars_.span().data(), scalars_.size() * sizeof(double));
  return FinishTree(layout_, scalars_);
}

Status NcclReduction::QueueStep(std::string_view what) {
  CUstream_st* const stream = communicator_.stream();
  DCN_RETURN_IF_ERROR(
      QueueCopy(host_send_.span().first(buffers_.sent), send_.span().first(buffers_.sent), stream));
  DCN_RETURN_IF_ERROR(communicator_.Queue(send_pieces_, receive_pieces_, what));
  DCN_RETURN_IF_ERROR(QueueTree());
  DCN_RETURN_IF_ERROR(communicator_.Queue(gather_send_, gather_receive_, what));
  return QueueCopy(sum_.span(), host_sum_.span(), stream);
}

// The sums of the own range to their place, and all scalars to the host.
Status NcclReduction::QueueTree() {
  CUstream_st* const stream = communicator_.stream();
  const auto own = static_cast<std::size_t>(communicator_.rank());
  const std::size_t range = layout_.range(own);
  float* const values = receive_.span().data();
  for (const SumStep& step : layout_.schedule) {
    const int code = QueueAdd(values + buffers_.entries[step.into],
                              values + buffers_.entries[step.from], range, stream);
    DCN_RETURN_IF_ERROR(FromCuda(static_cast<cudaError_t>(code), "adding on the GPU"));
  }
  DCN_RETURN_IF_ERROR(QueueCopy(receive_.span().subspan(buffers_.entries[0], range),
                                sum_.span().subspan(layout_.bounds[own], range), stream));
  std::size_t entry = 0;
  for (const ReductionBlock& block : buffers_.incoming) {
    const std::size_t floats = kScalarFloats * block.nodes;
    DCN_RETURN_IF_ERROR(QueueCopy(receive_.span().subspan(block.offset, floats),
                                  host_scalars_.span().subspan(kScalarFloats * entry, floats),
                                  stream));
    entry += block.nodes;
  }
  return Status();
}

}  // namespace dcn::comm
