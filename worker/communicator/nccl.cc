#include "worker/communicator/nccl.h"

#include <cstddef>
#include <cstring>
#include <string>
#include <utility>

#include <fmt/ranges.h>

#include "common/bytes.h"
#include "common/check.h"
#include "worker/communicator/back_off.h"
#include "worker/communicator/collectives.h"
#include "worker/communicator/nccl_border.h"

namespace dcn::comm {
namespace {

using Clock = std::chrono::steady_clock;

// Rank 0's address, on every rank. A rank 0 that has none says so by an empty text: the others must
// not wait for it.
Result<ncclUniqueId> ShareId(Communicator& ranks) {
  constexpr std::string_view kWhat = "sharing NCCL's address";
  ncclUniqueId id{};
  Status made;
  if (ranks.rank() == 0) made = FromNccl(ncclGetUniqueId(&id), nullptr, "asking NCCL's address");
  const std::string_view own = made.ok() ? std::string_view(id.internal, sizeof(id.internal)) : "";
  DCN_ASSIGN_OR_RETURN(const std::string heard, BroadcastText(ranks, own, kWhat));
  DCN_RETURN_IF_ERROR(made);
  if (heard.size() != sizeof(id.internal)) {
    return Error(StatusCode::kUnavailable, "{}: rank 0 has none", kWhat);
  }
  std::memcpy(id.internal, heard.data(), heard.size());
  return id;
}

}  // namespace

Result<std::unique_ptr<NcclCommunicator>> NcclCommunicator::Start(
    Communicator& ranks, CUstream_st* stream, std::chrono::milliseconds timeout) {
  std::unique_ptr<NcclCommunicator> made(new NcclCommunicator(ranks, stream, timeout));
  DCN_RETURN_IF_ERROR(made->AbortUnlessOk(made->Init()));
  return made;
}

std::string NcclCommunicator::LibraryVersion() {
  int version = 0;
  if (ncclGetVersion(&version) != ncclSuccess) return "unknown";
  return fmt::format("{}.{}.{}", version / 10'000, version / 100 % 100, version % 100);
}

Status NcclCommunicator::Init() {
  constexpr std::string_view kWhat = "setting up NCCL";
  DCN_ASSIGN_OR_RETURN(const ncclUniqueId id, ShareId(ranks_));
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  for (int q = 0; q < size(); ++q) {
    if (q != rank()) peers_.insert(q);
  }
  const ncclResult_t code = ncclCommInitRankConfig(&nccl_, size(), id, rank(), &config);
  DCN_RETURN_IF_ERROR(FromNccl(code, nccl_, kWhat));
  DCN_RETURN_IF_ERROR(PollTaken(kWhat));
  peers_.clear();
  return Status();
}

NcclCommunicator::~NcclCommunicator() { AbortNccl(); }

Status NcclCommunicator::Close() {
  constexpr std::string_view kWhat = "ending NCCL";
  DCN_RETURN_IF_ERROR(Wait(kWhat));
  DCN_RETURN_IF_ERROR(AbortUnlessOk(FromNccl(ncclCommFinalize(nccl_), nccl_, kWhat)));
  DCN_RETURN_IF_ERROR(AbortUnlessOk(PollTaken(kWhat)));
  return FromNccl(ncclCommDestroy(std::exchange(nccl_, nullptr)), nullptr, kWhat);
}

void NcclCommunicator::Abort(int exit_code) {
  AbortNccl();
  ranks_.Abort(exit_code);
}

void NcclCommunicator::AbortNccl() {
  if (nccl_ != nullptr) static_cast<void>(ncclCommAbort(std::exchange(nccl_, nullptr)));
}

Status NcclCommunicator::AbortUnlessOk(Status status) {
  if (!status.ok()) AbortNccl();
  return status;
}

Status NcclCommunicator::CheckUsable(std::string_view what) const {
  if (nccl_ != nullptr) return Status();
  return Error(StatusCode::kUnavailable, "{}: NCCL has ended on rank {}", what, rank());
}

Status NcclCommunicator::Exchange(std::span<const SendPiece> send,
                                  std::span<const ReceivePiece> receive, std::string_view what) {
  DCN_RETURN_IF_ERROR(Queue(send, receive, what));
  return Wait(what);
}

Status NcclCommunicator::Queue(std::span<const SendPiece> send,
                               std::span<const ReceivePiece> receive, std::string_view what) {
  DCN_CHECK_EQ(send.size(), static_cast<std::size_t>(size()));
  DCN_CHECK_EQ(receive.size(), static_cast<std::size_t>(size()));
  DCN_RETURN_IF_ERROR(CheckUsable(what));
  return AbortUnlessOk(QueuePieces(send, receive, what));
}

Status NcclCommunicator::QueuePieces(std::span<const SendPiece> send,
                                     std::span<const ReceivePiece> receive, std::string_view what) {
  const auto own = static_cast<std::size_t>(rank());
  if (send[own].size() != receive[own].size()) {
    return Error(StatusCode::kInternal,
                 "{}: rank {} sent {} bytes where rank {} expected {}: the ranks are out of step",
                 what, own, send[own].size(), own, receive[own].size());
  }
  DCN_RETURN_IF_ERROR(FromNccl(ncclGroupStart(), nccl_, what));
  Status status;
  if (!send[own].empty() && send[own].data() != receive[own].data()) {
    status = FromCuda(cudaMemcpyAsync(receive[own].data(), send[own].data(), send[own].size(),
                                      cudaMemcpyDeviceToDevice, stream_),
                      what);
  }
  for (std::size_t q = 0; q < send.size() && status.ok(); ++q) {
    if (q == own) continue;
    const int peer = static_cast<int>(q);
    if (!send[q].empty()) {
      status = FromNccl(ncclSend(send[q].data(), send[q].size(), ncclChar, peer, nccl_, stream_),
                        nccl_, what);
      bytes_sent_ += send[q].size();
      peers_.insert(peer);
    }
    if (!receive[q].empty() && status.ok()) {
      status =
          FromNccl(ncclRecv(receive[q].data(), receive[q].size(), ncclChar, peer, nccl_, stream_),
                   nccl_, what);
      bytes_received_ += receive[q].size();
      peers_.insert(peer);
    }
  }
  const Status ended = FromNccl(ncclGroupEnd(), nccl_, what);  // on errors, too
  if (!status.ok()) return status;
  DCN_RETURN_IF_ERROR(ended);
  return PollTaken(what);
}

Status NcclCommunicator::QueueSum(std::span<float> values, std::span<double> scalars,
                                  std::string_view what) {
  DCN_RETURN_IF_ERROR(CheckUsable(what));
  const auto add = [&](void* data, std::size_t count, ncclDataType_t type) {
    if (count == 0) return Status();
    return FromNccl(ncclAllReduce(data, data, count, type, ncclSum, nccl_, stream_), nccl_, what);
  };
  Status status = FromNccl(ncclGroupStart(), nccl_, what);
  if (!status.ok()) return AbortUnlessOk(status);
  status = add(values.data(), values.size(), ncclFloat);
  if (status.ok()) status = add(scalars.data(), scalars.size(), ncclDouble);
  const Status ended = FromNccl(ncclGroupEnd(), nccl_, what);  // on errors, too
  if (status.ok()) status = ended;
  for (int q = 0; q < size(); ++q) {
    if (q != rank()) peers_.insert(q);
  }
  // What a ring carries; NCCL chooses the way.
  const std::size_t bytes = values.size_bytes() + scalars.size_bytes();
  const auto ranks = static_cast<std::size_t>(size());
  bytes_sent_ += 2 * bytes * (ranks - 1) / ranks;
  bytes_received_ += 2 * bytes * (ranks - 1) / ranks;
  if (status.ok()) status = PollTaken(what);
  return AbortUnlessOk(std::move(status));
}

Status NcclCommunicator::Wait(std::string_view what) {
  DCN_RETURN_IF_ERROR(CheckUsable(what));
  Status status = Poll(what, [&]() -> Result<bool> {
    const cudaError_t stream = cudaStreamQuery(stream_);
    if (stream != cudaErrorNotReady) DCN_RETURN_IF_CUDA_ERROR(stream, what);
    // Also when the stream is done: an error ends NCCL's kernels, with garbage in their places.
    ncclResult_t state = ncclSuccess;
    DCN_RETURN_IF_ERROR(FromNccl(ncclCommGetAsyncError(nccl_, &state), nccl_, what));
    DCN_RETURN_IF_ERROR(FromNccl(state, nccl_, what));
    return stream == cudaSuccess;
  });
  if (status.ok()) peers_.clear();
  return AbortUnlessOk(std::move(status));
}

Status NcclCommunicator::PollTaken(std::string_view what) {
  return Poll(what, [&]() -> Result<bool> {
    ncclResult_t state = ncclSuccess;
    DCN_RETURN_IF_ERROR(FromNccl(ncclCommGetAsyncError(nccl_, &state), nccl_, what));
    DCN_RETURN_IF_ERROR(FromNccl(state, nccl_, what));
    return state != ncclInProgress;
  });
}

template <typename IsDone>
Status NcclCommunicator::Poll(std::string_view what, IsDone is_done) {
  const Clock::time_point deadline = Clock::now() + timeout_;
  for (int polls = 0;; ++polls) {
    const Result<bool> done = is_done();
    if (!done.ok()) {
      return Error(done.status().code(), "{} (rank {} of {})", done.status().message(), rank(),
                   size());
    }
    if (*done) return Status();
    BackOff(polls);
    if (polls < kPollsYielding || Clock::now() < deadline) continue;
    return Error(StatusCode::kDeadlineExceeded,
                 "{}: NCCL on rank {} was not done within {:.1f} s; it takes part with rank {}",
                 what, rank(), static_cast<double>(timeout_.count()) / 1000,
                 peers_.empty() ? std::string("none") : fmt::format("{}", fmt::join(peers_, ", ")));
  }
}

}  // namespace dcn::comm
