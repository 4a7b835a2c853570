#include "worker/communicator/ordered_reduction.h"

#include <algorithm>
#include <cstring>

#include "common/check.h"
#include "common/lanes.h"
#include "worker/communicator/collectives.h"

namespace dcn::comm {

OrderedReduction::OrderedReduction(Communicator& communicator, ThreadPool& pool,
                                   std::uint32_t full_leaves, std::size_t count)
    : communicator_(communicator), pool_(pool), full_leaves_(full_leaves), count_(count) {}

std::span<const TreeNode> OrderedReduction::NodesOf(std::uint32_t leaves) {
  LayOut(leaves);
  return layout_.nodes[static_cast<std::size_t>(communicator_.rank())];
}

void OrderedReduction::LayOut(std::uint32_t leaves) {
  DCN_CHECK_GE(leaves, 1U);
  DCN_CHECK_LE(leaves, full_leaves_);
  if (leaves == leaves_) return;
  leaves_ = leaves;
  const auto ranks = static_cast<std::uint32_t>(communicator_.size());
  layout_ = LayOutReduction(ranks, full_leaves_, leaves, count_);
  buffers_ = LayOutBuffers(layout_, static_cast<std::size_t>(communicator_.rank()));
  send_buffer_.EnsureSize(buffers_.sent);
  receive_buffer_.EnsureSize(buffers_.received);
  scalars_.resize(buffers_.entries.size());
  send_.clear();
  receive_.clear();
  for (const ReductionBlock& block : buffers_.outgoing) {
    send_.push_back(std::as_bytes(send_buffer_.span().subspan(block.offset, block.size())));
  }
  for (const ReductionBlock& block : buffers_.incoming) {
    receive_.push_back(
        std::as_writable_bytes(receive_buffer_.span().subspan(block.offset, block.size())));
  }
}

Result<double> OrderedReduction::Run(std::uint32_t leaves, const NodeValues& node_values,
                                     std::span<const double> node_scalars, std::span<float> sum,
                                     std::string_view what) {
  DCN_CHECK_EQ(node_scalars.size(), NodesOf(leaves).size());
  DCN_CHECK_EQ(sum.size(), count_);
  PackNodes(layout_, buffers_, node_values, node_scalars, send_buffer_.span(), pool_);
  DCN_RETURN_IF_ERROR(communicator_.Exchange(send_, receive_, what));
  const double scalar = SumScalars();
  const auto own = static_cast<std::uint32_t>(communicator_.rank());
  pool_.ParallelFor(buffers_.parts.size(), [&](int, std::size_t i) {
    if (buffers_.parts[i].rank == own) SumPart(buffers_.parts[i], sum);
  });
  DCN_RETURN_IF_ERROR(AllGatherRanges(communicator_, sum, layout_.bounds, what));
  return scalar;
}

double OrderedReduction::SumScalars() {
  std::size_t entry = 0;
  for (const ReductionBlock& block : buffers_.incoming) {
    if (block.nodes == 0) continue;
    std::memcpy(&scalars_[entry], receive_buffer_.get() + block.offset,
                block.nodes * sizeof(double));
    entry += block.nodes;
  }
  return FinishTree(layout_, scalars_);
}

void OrderedReduction::SumPart(const ReductionPart& part, std::span<float> sum) {
  float* const values = receive_buffer_.get() + (part.begin - layout_.bounds[part.rank]);
  for (const SumStep& step : layout_.schedule) {
    AddFloats(part.size, values + buffers_.entries[step.from],
              values + buffers_.entries[step.into]);
  }
  std::copy_n(values + buffers_.entries[0], part.size,
              sum.begin() + static_cast<std::ptrdiff_t>(part.begin));
}

}  // namespace dcn::comm
