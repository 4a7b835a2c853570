#include "worker/communicator/ordered_reduction.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "common/check.h"
#include "common/vectorize.h"
#include "worker/communicator/collectives.h"

namespace dcn::comm {
namespace {

// Parameters that one thread sums at a time.
constexpr std::size_t kPartSize = 2048;
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
    std::vector<TreeNode>& nodes = layout.nodes.emplace_back();
    for (const TreeNode node : RankNodes(rank, ranks, full_leaves)) {
      if (node.begin() < leaves) nodes.push_back(node);
    }
    all.insert(all.end(), nodes.begin(), nodes.end());
    const std::size_t bound = count * (rank + 1) / ranks / kRangeAlignment * kRangeAlignment;
    layout.bounds.push_back(rank + 1 == ranks ? count : bound);
  }
  layout.schedule = SumSchedule(all);
  return layout;
}

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
  const auto own = static_cast<std::size_t>(communicator_.rank());
  layout_ = LayOutReduction(ranks, full_leaves_, leaves, count_);
  const std::vector<std::size_t>& bounds = layout_.bounds;
  const auto range = [&](std::size_t q) { return bounds[q + 1] - bounds[q]; };
  std::size_t sent = 0;
  std::size_t received = 0;
  outgoing_.clear();
  incoming_.clear();
  parts_.clear();
  for (std::uint32_t q = 0; q < ranks; ++q) {
    outgoing_.push_back({sent, layout_.nodes[own].size(), range(q)});
    incoming_.push_back({received, layout_.nodes[q].size(), range(own)});
    sent += outgoing_.back().size();
    received += incoming_.back().size();
    for (std::size_t begin = bounds[q]; begin < bounds[q + 1]; begin += kPartSize) {
      parts_.push_back({q, begin, std::min(kPartSize, bounds[q + 1] - begin)});
    }
  }
  send_buffer_.EnsureSize(sent);
  receive_buffer_.EnsureSize(received);
  send_.resize(ranks);
  receive_.resize(ranks);
  entries_.clear();
  scalars_.resize(layout_.schedule.size() + 1);
  for (std::uint32_t q = 0; q < ranks; ++q) {
    const auto bytes_of = [](AlignedFloats& buffer, const Block& block) {
      return std::as_writable_bytes(std::span(buffer.get() + block.offset, block.size()));
    };
    send_[q] = bytes_of(send_buffer_, outgoing_[q]);
    receive_[q] = bytes_of(receive_buffer_, incoming_[q]);
    for (std::size_t k = 0; k < incoming_[q].nodes; ++k) {
      entries_.push_back(receive_buffer_.get() + incoming_[q].values() + k * incoming_[q].range);
    }
  }
  DCN_CHECK_EQ(entries_.size(), scalars_.size());
}

Result<double> OrderedReduction::Run(std::uint32_t leaves, const NodeValues& node_values,
                                     std::span<const double> node_scalars, std::span<float> sum,
                                     std::string_view what) {
  const std::size_t own_nodes = NodesOf(leaves).size();
  DCN_CHECK_EQ(node_scalars.size(), own_nodes);
  DCN_CHECK_EQ(sum.size(), count_);
  for (const Block& block : outgoing_) {
    if (own_nodes == 0) break;
    std::memcpy(send_buffer_.get() + block.offset, node_scalars.data(), node_scalars.size_bytes());
  }
  if (own_nodes > 0) {
    pool_.ParallelFor(parts_.size(), [&](int, std::size_t i) { PackPart(parts_[i], node_values); });
  }
  DCN_RETURN_IF_ERROR(communicator_.Exchange(send_, receive_, what));
  const double scalar = SumScalars();
  const auto own = static_cast<std::uint32_t>(communicator_.rank());
  pool_.ParallelFor(parts_.size(), [&](int, std::size_t i) {
    if (parts_[i].rank == own) SumPart(parts_[i], sum);
  });
  DCN_RETURN_IF_ERROR(AllGatherRanges(communicator_, sum, layout_.bounds, what));
  return scalar;
}

void OrderedReduction::PackPart(const Part& part, const NodeValues& node_values) {
  const Block& block = outgoing_[part.rank];
  std::array<float*, kMaxNodes> out{};
  DCN_CHECK_LE(block.nodes, out.size());
  for (std::size_t k = 0; k < block.nodes; ++k) {
    out[k] = send_buffer_.get() + block.values() + k * block.range +
             (part.begin - layout_.bounds[part.rank]);
  }
  node_values(part.begin, part.size, std::span<float* const>(out.data(), block.nodes));
}

void OrderedReduction::SumPart(const Part& part, std::span<float> sum) {
  const std::size_t offset = part.begin - layout_.bounds[part.rank];
  for (const SumStep& step : layout_.schedule) {
    float* const into = entries_[step.into] + offset;
    const float* const from = entries_[step.from] + offset;
    DCN_INDEPENDENT_ITERATIONS
    for (std::size_t i = 0; i < part.size; ++i) into[i] += from[i];
  }
  std::copy_n(entries_[0] + offset, part.size,
              sum.begin() + static_cast<std::ptrdiff_t>(part.begin));
}

double OrderedReduction::SumScalars() {
  std::size_t entry = 0;
  for (const Block& block : incoming_) {
    if (block.nodes == 0) continue;
    std::memcpy(&scalars_[entry], receive_buffer_.get() + block.offset,
                block.nodes * sizeof(double));
    entry += block.nodes;
  }
  for (const SumStep& step : layout_.schedule) scalars_[step.into] += scalars_[step.from];
  return scalars_[0];
}

}  // namespace dcn::comm
