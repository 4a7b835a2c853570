#include "tests/testing/gpu_claims.h"

#include <bit>
#include <limits>
#include <span>
#include <stdexcept>
#include <string_view>
#include <utility>

#include <fmt/core.h>

#include "common/thread_pool.h"
#include "tests/testing/communicator_claims.h"
#include "tests/testing/rank_threads.h"
#include "worker/communicator/local.h"
#include "worker/communicator/nccl_all_reduce.h"
#include "worker/communicator/nccl_device.h"
#include "worker/communicator/nccl_kernels.h"
#include "worker/communicator/nccl_reduction.h"

namespace dcn::testing {
namespace {

using comm::GpuFloats;

std::size_t PieceLength(std::size_t from, std::size_t to, std::size_t round) {
  constexpr std::size_t kLengths[] = {0, 1, 3, 112, 70'001};
  return kLengths[(from * 3 + to + round) % 5];
}
float PieceValue(std::size_t from, std::size_t to, std::size_t i) {
  return static_cast<float>(from * 1'000'000 + to * 100'000 + i % 65'521);
}

Result<std::string> RunOnGpu(comm::Communicator& ranks, std::chrono::milliseconds timeout,
                             const std::function<std::string(comm::NcclCommunicator&)>& body) {
  DCN_ASSIGN_OR_RETURN(const int gpu, comm::ChooseGpu(ranks.rank(), ranks.size()));
  DCN_ASSIGN_OR_RETURN(const comm::GpuStream stream, comm::GpuStream::Open(gpu));
  DCN_ASSIGN_OR_RETURN(const std::unique_ptr<comm::NcclCommunicator> nccl,
                       comm::NcclCommunicator::Start(ranks, stream.get(), timeout));
  std::string text = body(*nccl);
  if (text.empty()) DCN_RETURN_IF_ERROR(nccl->Close());
  return text;
}

// A buffer on the GPU and its copy in pinned memory.
struct Buffer {
  GpuFloats gpu;
  GpuFloats host;
  static Result<Buffer> Make(std::size_t size) {
    DCN_ASSIGN_OR_RETURN(GpuFloats gpu, GpuFloats::Make(GpuFloats::Place::kDevice, size));
    DCN_ASSIGN_OR_RETURN(GpuFloats host, GpuFloats::Make(GpuFloats::Place::kPinnedHost, size));
    return Buffer{std::move(gpu), std::move(host)};
  }
};

Status ExchangeOnce(comm::NcclCommunicator& communicator, std::size_t round) {
  const auto ranks = static_cast<std::size_t>(communicator.size());
  const auto own = static_cast<std::size_t>(communicator.rank());
  std::vector<Buffer> outgoing;
  std::vector<Buffer> incoming;
  std::vector<comm::SendPiece> send;
  std::vector<comm::ReceivePiece> receive;
  std::uint64_t from_others = 0;
  for (std::size_t q = 0; q < ranks; ++q) {
    DCN_ASSIGN_OR_RETURN(Buffer out, Buffer::Make(PieceLength(own, q, round)));
    DCN_ASSIGN_OR_RETURN(Buffer in, Buffer::Make(PieceLength(q, own, round)));
    for (std::size_t i = 0; i < out.host.span().size(); ++i) {
      out.host.span()[i] = PieceValue(own, q, i);
    }
    DCN_RETURN_IF_ERROR(comm::QueueCopy(out.host.span(), out.gpu.span(), communicator.stream()));
    send.push_back(std::as_bytes(out.gpu.span()));
    receive.push_back(std::as_writable_bytes(in.gpu.span()));
    if (q != own) from_others += receive.back().size();
    outgoing.push_back(std::move(out));
    incoming.push_back(std::move(in));
  }
  const std::uint64_t before = communicator.bytes_received();
  DCN_RETURN_IF_ERROR(communicator.Exchange(send, receive, "pieces of a test"));
  for (Buffer& in : incoming) {
    DCN_RETURN_IF_ERROR(comm::QueueCopy(in.gpu.span(), in.host.span(), communicator.stream()));
  }
  DCN_RETURN_IF_ERROR(communicator.Wait("pieces of a test"));
  for (std::size_t q = 0; q < ranks; ++q) {
    const std::span<const float> got = incoming[q].host.span();
    for (std::size_t i = 0; i < got.size(); ++i) {
      if (got[i] == PieceValue(q, own, i)) continue;
      return Error(StatusCode::kDataLoss, "round {}: value {} from rank {} is {}", round, i, q,
                   got[i]);
    }
  }
  if (communicator.bytes_received() - before == from_others) return Status();
  return Error(StatusCode::kDataLoss, "round {}: {} bytes counted, {} came", round,
               communicator.bytes_received() - before, from_others);
}

// Pairs of numbers and what they add up to on every computing thread.
struct Addition {
  float a = 0;
  float b = 0;
  float sum = 0;
};
std::vector<Addition> Additions() {
  constexpr float kSmallest = std::numeric_limits<float>::min();  // of the normal ones
  constexpr float kDenormal = std::numeric_limits<float>::denorm_min();
  std::vector<Addition> additions = {
    {1, 2, 3},
    {1, 0x1p-24F, 1},  // half of the last bit: to even
    {0x1.000002p0F, 0x1p-24F, 0x1.000004p0F},
    {kSmallest, -kSmallest, 0},
    {kSmallest, kSmallest, 2 * kSmallest},
#if defined(__SSE2__)
    // Denormals are zero, of their sign, going in and coming out.
    {kSmallest, kSmallest / 2, kSmallest},
    {-kDenormal, kSmallest, kSmallest},
    {1.5F * kSmallest, -kSmallest, 0},
    {-1.5F * kSmallest, kSmallest, -0.0F},
    {-kDenormal, -kDenormal, -0.0F},
    {kDenormal, 0, 0},
#endif
    {-0.0F, -0.0F, -0.0F}
  };
  return additions;
}

Result<std::vector<float>> AddOnGpu(comm::NcclCommunicator& communicator,
                                    const std::vector<Addition>& additions) {
  const std::size_t size = additions.size();
  DCN_ASSIGN_OR_RETURN(Buffer into, Buffer::Make(size));
  DCN_ASSIGN_OR_RETURN(Buffer from, Buffer::Make(size));
  for (std::size_t i = 0; i < size; ++i) {
    into.host.span()[i] = additions[i].a;
    from.host.span()[i] = additions[i].b;
  }
  CUstream_st* const stream = communicator.stream();
  DCN_RETURN_IF_ERROR(comm::QueueCopy(into.host.span(), into.gpu.span(), stream));
  DCN_RETURN_IF_ERROR(comm::QueueCopy(from.host.span(), from.gpu.span(), stream));
  if (comm::QueueAdd(into.gpu.span().data(), from.gpu.span().data(), size, stream) != 0) {
    return Status(StatusCode::kInternal, "the kernel was not taken");
  }
  DCN_RETURN_IF_ERROR(comm::QueueCopy(into.gpu.span(), into.host.span(), stream));
  DCN_RETURN_IF_ERROR(communicator.Wait("sums of a test"));
  return std::vector<float>(into.host.span().begin(), into.host.span().end());
}

template <typename Reduction>
std::string CheckReduction(comm::NcclCommunicator& communicator, std::uint32_t full_leaves,
                           std::size_t count, SumBits bits) {
  ThreadPool pool(communicator.rank() % 2 + 1);
  const auto reduction = Reduction::Make(communicator, pool, full_leaves, count);
  if (!reduction.ok()) return reduction.status().message();
  return CheckDenseReduction(**reduction, communicator.size(), full_leaves, count, bits);
}

}  // namespace

std::vector<std::string> OnGpus(int ranks,
                                const std::function<std::string(comm::NcclCommunicator&)>& body,
                                std::chrono::milliseconds timeout) {
  comm::LocalGroup group(ranks, std::chrono::seconds(60));
  std::vector<std::string> results(static_cast<std::size_t>(ranks));
  RunRanks(ranks, [&](int rank) {
    const Result<std::string> text = RunOnGpu(group.communicator(rank), timeout, body);
    results[static_cast<std::size_t>(rank)] = text.ok() ? *text : text.status().ToString();
  });
  return results;
}

std::string CheckGpuExchange(comm::NcclCommunicator& communicator) {
  for (std::size_t round = 0; round < 7; ++round) {
    if (const Status status = ExchangeOnce(communicator, round); !status.ok()) {
      return status.ToString();
    }
  }
  return {};
}

std::string CheckGpuAddition(comm::NcclCommunicator& communicator) {
  const std::vector<Addition> additions = Additions();
  const Result<std::vector<float>> sums = AddOnGpu(communicator, additions);
  if (!sums.ok()) return sums.status().ToString();
  for (std::size_t i = 0; i < additions.size(); ++i) {
    const Addition& addition = additions[i];
    if (std::bit_cast<std::uint32_t>((*sums)[i]) == std::bit_cast<std::uint32_t>(addition.sum)) {
      continue;
    }
    return fmt::format("{} + {} is {} instead of {}", addition.a, addition.b, (*sums)[i],
                       addition.sum);
  }
  return {};
}

std::string CheckNcclReduction(comm::NcclCommunicator& communicator, std::uint32_t full_leaves,
                               std::size_t count) {
  return CheckReduction<comm::NcclReduction>(communicator, full_leaves, count, SumBits::kOfTheTree);
}

std::string CheckNcclAllReduce(comm::NcclCommunicator& communicator, std::uint32_t full_leaves,
                               std::size_t count) {
  return CheckReduction<comm::NcclAllReduce>(communicator, full_leaves, count,
                                             SumBits::kNearTheTree);
}

namespace {

class OwnReduction final : public comm::DenseReduction {
 public:
  OwnReduction(comm::GpuStream stream, std::unique_ptr<comm::NcclCommunicator> nccl,
               std::unique_ptr<comm::DenseReduction> reduction)
      : stream_(std::move(stream)), nccl_(std::move(nccl)), reduction_(std::move(reduction)) {}
  std::span<const TreeNode> NodesOf(std::uint32_t leaves) override {
    return reduction_->NodesOf(leaves);
  }
  Result<double> Run(std::uint32_t leaves, const comm::NodeValues& node_values,
                     std::span<const double> node_scalars, std::span<float> sum,
                     std::string_view what) override {
    return reduction_->Run(leaves, node_values, node_scalars, sum, what);
  }

 private:
  const comm::GpuStream stream_;
  const std::unique_ptr<comm::NcclCommunicator> nccl_;
  const std::unique_ptr<comm::DenseReduction> reduction_;
};

template <typename T>
T Require(Result<T> result) {
  if (!result.ok()) throw std::runtime_error(result.status().ToString());
  return std::move(result).value();
}

}  // namespace

std::unique_ptr<comm::DenseReduction> MakeGpuReduction(comm::Communicator& ranks, ThreadPool& pool,
                                                       std::uint32_t full_leaves, std::size_t count,
                                                       bool is_ordered) {
  comm::GpuStream stream =
      Require(comm::GpuStream::Open(Require(comm::ChooseGpu(ranks.rank(), ranks.size()))));
  std::unique_ptr<comm::NcclCommunicator> nccl =
      Require(comm::NcclCommunicator::Start(ranks, stream.get(), std::chrono::seconds(60)));
  std::unique_ptr<comm::DenseReduction> reduction;
  if (is_ordered) {
    reduction = Require(comm::NcclReduction::Make(*nccl, pool, full_leaves, count));
  } else {
    reduction = Require(comm::NcclAllReduce::Make(*nccl, pool, full_leaves, count));
  }
  return std::make_unique<OwnReduction>(std::move(stream), std::move(nccl), std::move(reduction));
}

}  // namespace dcn::testing
