#include "worker/communicator/reduction_layout.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "common/check.h"

namespace dcn::comm {
namespace {

// Ranges begin at multiples of this many floats: a cache line.
constexpr std::size_t kRangeAlignment = 16;
// Nodes of one rank: two a level at most.
constexpr std::size_t kMaxNodes = 64;

}  // namespace

ReductionLayout LayOutReduction(std::uint32_t ranks, std::uint32_t full_leaves,
                                std::uint32_t leaves, std::size_t count) {
  ReductionLayout layout;
  std::vector<TreeNode> all;
  layout.bounds.push_back(0);
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    const std::vector<TreeNode>& nodes =
        layout.nodes.emplace_back(RankNodes(rank, ranks, full_leaves, leaves));
    all.insert(all.end(), nodes.begin(), nodes.end());
    const std::size_t bound = count * (rank + 1) / ranks / kRangeAlignment * kRangeAlignment;
    layout.bounds.push_back(rank + 1 == ranks ? count : bound);
  }
  layout.schedule = SumSchedule(all);
  return layout;
}

ReductionBuffers LayOutBuffers(const ReductionLayout& layout, std::size_t own) {
  ReductionBuffers buffers;
  for (std::uint32_t q = 0; q < layout.nodes.size(); ++q) {
    const ReductionBlock in{buffers.received, layout.nodes[q].size(), layout.range(own)};
    buffers.outgoing.push_back({buffers.sent, layout.nodes[own].size(), layout.range(q)});
    buffers.incoming.push_back(in);
    buffers.sent += buffers.outgoing.back().size();
    buffers.received += in.size();
    for (std::size_t k = 0; k < in.nodes; ++k) buffers.entries.push_back(in.values(k));
    const std::size_t end = layout.bounds[q + 1];
    for (std::size_t begin = layout.bounds[q]; begin < end; begin += kReductionPartSize) {
      buffers.parts.push_back({q, begin, std::min(kReductionPartSize, end - begin)});
    }
  }
  return buffers;
}

void PackNodes(const ReductionLayout& layout, const ReductionBuffers& buffers,
               const NodeValues& node_values, std::span<const double> node_scalars,
               std::span<float> send_buffer, ThreadPool& pool) {
  DCN_CHECK_LE(node_scalars.size(), kMaxNodes);
  DCN_CHECK_LE(buffers.sent, send_buffer.size());
  if (node_scalars.empty()) return;
  for (const ReductionBlock& block : buffers.outgoing) {
    DCN_CHECK_EQ(block.nodes, node_scalars.size());
    std::memcpy(send_buffer.data() + block.offset, node_scalars.data(), node_scalars.size_bytes());
  }
  pool.ParallelFor(buffers.parts.size(), [&](int, std::size_t i) {
    const ReductionPart& part = buffers.parts[i];
    const ReductionBlock& block = buffers.outgoing[part.rank];
    std::array<float*, kMaxNodes> out{};
    for (std::size_t k = 0; k < block.nodes; ++k) {
      out[k] = send_buffer.data() + block.values(k) + (part.begin - layout.bounds[part.rank]);
    }
    node_values(part.begin, part.size, std::span<float* const>(out.data(), block.nodes));
  });
}

double FinishTree(const ReductionLayout& layout, std::span<double> scalars) {
  for (const SumStep& step : layout.schedule) scalars[step.into] += scalars[step.from];
  return scalars[0];
}

}  // namespace dcn::comm
