// Ranks with a GPU each: pieces are memory on the rank's GPU, and NCCL carries them.
//
// Nothing here waits without an end: the communicator is a non-blocking one, whose calls go on by
// themselves (ncclInProgress) and are polled under a deadline, together with the stream. After an
// error or a deadline NCCL's kernels may hang on the GPU for ever, so the communicator is aborted
// at once. NCCL does not compare the lengths of pieces: what is sent and expected in different
// lengths never arrives, and ends at the deadline.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "common/status.h"
#include "worker/communicator/communicator.h"

struct CUstream_st;  // what cudaStream_t points to
struct ncclComm;     // what ncclComm_t points to

namespace dcn::comm {

/// Thread safety: one thread, that which called Start: NCCL calls of a process come from one.
class NcclCommunicator final : public Communicator {
 public:
  /// Called by all of `ranks` (MPI's, or a group's in one process), over which rank 0 tells the
  /// others its address. `ranks` and `stream`, on the GPU that is the calling thread's current one,
  /// must outlive this. timeout: of each wait. kDeadlineExceeded, kUnavailable, kInternal: as
  /// Exchange; and its errors from `ranks`.
  [[nodiscard]] static Result<std::unique_ptr<NcclCommunicator>> Start(
      Communicator& ranks, CUstream_st* stream, std::chrono::milliseconds timeout);

  /// "2.27.3": of the library that runs; "unknown" if it does not say.
  [[nodiscard]] static std::string LibraryVersion();

  /// Aborts NCCL on this rank unless it was closed: no wait for others who may be gone.
  ~NcclCommunicator() override;
  NcclCommunicator(const NcclCommunicator&) = delete;
  NcclCommunicator& operator=(const NcclCommunicator&) = delete;

  [[nodiscard]] int rank() const override { return ranks_.rank(); }
  [[nodiscard]] int size() const override { return ranks_.size(); }
  [[nodiscard]] CUstream_st* stream() const { return stream_; }

  /// Queue, then Wait.
  [[nodiscard]] Status Exchange(std::span<const SendPiece> send,
                                std::span<const ReceivePiece> receive,
                                std::string_view what) override;

  /// Puts an exchange on the stream; its pieces must stay until Wait. Ranks must queue the same
  /// exchanges in the same order. Errors: those of Exchange.
  [[nodiscard]] Status Queue(std::span<const SendPiece> send, std::span<const ReceivePiece> receive,
                             std::string_view what);

  /// Puts sums over all ranks on the stream, in place, in whatever order NCCL takes: values [as
  /// many on every rank] and one scalar. Errors: those of Exchange.
  [[nodiscard]] Status QueueSum(std::span<float> values, std::span<double> scalars,
                                std::string_view what);

  /// Returns when all that was put on the stream is done. kDeadlineExceeded: names the ranks that
  /// take part; NCCL does not tell which of them is missing. kUnavailable: a rank is gone.
  /// kInternal: NCCL or CUDA failed, with its text. After an error, and after Close, all calls but
  /// Abort fail.
  [[nodiscard]] Status Wait(std::string_view what);

  /// For who puts more on the stream: aborts NCCL where that came to an error, and passes it on.
  /// Otherwise memory that NCCL's kernels use could not be given back.
  [[nodiscard]] Status AbortUnlessOk(Status status);

  /// Ends NCCL, after what is queued; called by all ranks, which wait for one another. Errors:
  /// those of Wait.
  [[nodiscard]] Status Close();

  /// Aborts NCCL on this rank, and ends the ranks as their communicator does.
  void Abort(int exit_code) override;

  [[nodiscard]] std::uint64_t bytes_sent() const override { return bytes_sent_; }
  [[nodiscard]] std::uint64_t bytes_received() const override { return bytes_received_; }

 private:
  NcclCommunicator(Communicator& ranks, CUstream_st* stream, std::chrono::milliseconds timeout)
      : ranks_(ranks), stream_(stream), timeout_(timeout) {}
  Status Init();
  Status QueuePieces(std::span<const SendPiece> send, std::span<const ReceivePiece> receive,
                     std::string_view what);
  // Calls `is_done` (Result<bool>) until it says so, under the deadline.
  template <typename IsDone>
  Status Poll(std::string_view what, IsDone is_done);
  // Waits until NCCL has taken the last call.
  Status PollTaken(std::string_view what);
  void AbortNccl();

  [[nodiscard]] Status CheckUsable(std::string_view what) const;

  Communicator& ranks_;
  CUstream_st* const stream_;
  const std::chrono::milliseconds timeout_;
  ncclComm* nccl_ = nullptr;  // null after an abort or Close
  std::set<int> peers_;       // whose pieces were queued since the last Wait
  std::uint64_t bytes_sent_ = 0;
  std::uint64_t bytes_received_ = 0;
};

}  // namespace dcn::comm
