#include "worker/communicator/nccl_all_reduce.h"

#include <algorithm>
#include <cstring>

#include "common/check.h"
#include "common/lanes.h"
#include "worker/communicator/reduction_layout.h"

namespace dcn::comm {

Result<std::unique_ptr<NcclAllReduce>> NcclAllReduce::Make(NcclCommunicator& communicator,
                                                           ThreadPool& pool,
                                                           std::uint32_t full_leaves,
                                                           std::size_t count) {
  using enum GpuFloats::Place;
  std::unique_ptr<NcclAllReduce> made(new NcclAllReduce(communicator, pool, full_leaves, count));
  DCN_ASSIGN_OR_RETURN(made->values_, GpuFloats::Make(kDevice, kScalarFloats + count));
  DCN_ASSIGN_OR_RETURN(made->host_values_, GpuFloats::Make(kPinnedHost, kScalarFloats + count));
  return made;
}

std::span<const TreeNode> NcclAllReduce::NodesOf(std::uint32_t leaves) {
  DCN_CHECK_GE(leaves, 1U);
  DCN_CHECK_LE(leaves, full_leaves_);
  if (leaves == leaves_) return nodes_;
  leaves_ = leaves;
  nodes_ = RankNodes(static_cast<std::uint32_t>(communicator_.rank()),
                     static_cast<std::uint32_t>(communicator_.size()), full_leaves_, leaves);
  node_values_.resize(nodes_.size() * count_);
  return nodes_;
}

Result<double> NcclAllReduce::Run(std::uint32_t leaves, const NodeValues& node_values,
                                  std::span<const double> node_scalars, std::span<float> sum,
                                  std::string_view what) {
  DCN_CHECK_EQ(node_scalars.size(), NodesOf(leaves).size());
  DCN_CHECK_EQ(sum.size(), count_);
  PackOwn(node_values, node_scalars);
  DCN_RETURN_IF_ERROR(communicator_.AbortUnlessOk(QueueStep(what)));
  DCN_RETURN_IF_ERROR(communicator_.Wait(what));
  std::ranges::copy(host_values_.span().subspan(kScalarFloats), sum.begin());
  double total = 0;
  std::memcpy(&total, host_values_.span().data(), sizeof(total));
  return total;
}

Status NcclAllReduce::QueueStep(std::string_view what) {
  const std::span<float> values = values_.span();
  const std::span<double> scalar(reinterpret_cast<double*>(values.data()), 1);
  DCN_RETURN_IF_ERROR(QueueCopy(host_values_.span(), values, communicator_.stream()));
  DCN_RETURN_IF_ERROR(communicator_.QueueSum(values.subspan(kScalarFloats), scalar, what));
  return QueueCopy(values, host_values_.span(), communicator_.stream());
}

// The sums of this rank's nodes, in leaf order, to the pinned buffer; zeros without nodes.
void NcclAllReduce::PackOwn(const NodeValues& node_values, std::span<const double> node_scalars) {
  double scalar = 0;
  for (const double node_scalar : node_scalars) scalar += node_scalar;
  std::memcpy(host_values_.span().data(), &scalar, sizeof(scalar));
  const std::span<float> own = host_values_.span().subspan(kScalarFloats);
  if (nodes_.empty()) {
    std::ranges::fill(own, 0.0F);
    return;
  }
  const std::size_t parts = (count_ + kReductionPartSize - 1) / kReductionPartSize;
  pool_.ParallelFor(parts, [&](int, std::size_t part) {
    const std::size_t begin = part * kReductionPartSize;
    const std::size_t size = std::min(kReductionPartSize, count_ - begin);
    std::vector<float*> out;
    for (std::size_t k = 0; k < nodes_.size(); ++k) {
      out.push_back(node_values_.data() + k * count_ + begin);
    }
    node_values(begin, size, out);
    float* const into = own.data() + begin;
    std::copy_n(out[0], size, into);
    for (std::size_t k = 1; k < out.size(); ++k) AddFloats(size, out[k], into);
  });
}

}  // namespace dcn::comm
