// CUDA and NCCL without a GPU: the calls of worker/communicator/nccl* over host memory, so that its
// logic can be tested anywhere, with every fault on demand.
//
// Each GPU belongs to one thread (a rank). Nothing runs by itself: what is put on a stream runs
// when that stream is asked whether it is done (cudaStreamQuery), so that code which does not wait
// finds nothing done. NCCL's calls are non-blocking: they are taken when the state is asked for
// (ncclCommGetAsyncError). Wrong uses that a GPU would punish by a crash or by garbage are noted.
//
// The C functions have no object to hang on, so there is one stand-in at a time, a global; that is
// why this is in the tests only.
#pragma once

#include <cstddef>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "tests/testing/cuda_stand_in/nccl.h"

namespace dcn::testing {

inline constexpr int kNever = std::numeric_limits<int>::max();

/// What goes wrong on one GPU.
struct GpuFaults {
  int init_polls = 0;      // that find NCCL still setting up; kNever: it never ends
  int taken_polls = 0;     // that find a group of calls not taken yet
  int stream_polls = 0;    // that find a stream busy for each of its operations
  int finalize_polls = 0;  // that find NCCL still ending
  bool is_silent = false;  // its pieces never leave it

  /// NCCL fails at this group of calls (from 0 on) with this result.
  int failing_group = kNever;
  ncclResult_t failure = ncclInternalError;
  enum class FailsWhen {
    kTaken,       // when the group is to be taken
    kRunning,     // while it is on the stream, which never ends it
    kStreamDone,  // as kRunning, but the stream goes on without the pieces
  } fails_when = FailsWhen::kRunning;

  bool has_no_id = false;                                              // ncclGetUniqueId fails
  std::size_t memory_bytes = std::numeric_limits<std::size_t>::max();  // of cudaMalloc
  cudaError_t kernel_error = cudaSuccess;                              // of every launch
};

/// One machine with GPUs. At most one at a time; ranks' threads end before it does.
class CudaStandIn {
 public:
  explicit CudaStandIn(int gpus);
  ~CudaStandIn();
  CudaStandIn(const CudaStandIn&) = delete;
  CudaStandIn& operator=(const CudaStandIn&) = delete;

  /// To be set before the ranks' threads start.
  GpuFaults& faults(int gpu);
  /// Whether memory that NCCL, kernels and copies touch must be of the right kind. Off: host memory
  /// passes for a GPU's.
  void CheckMemory(bool is_checked);

  /// Communicators that were aborted, and that ended well.
  [[nodiscard]] int aborted() const;
  [[nodiscard]] int destroyed() const;
  /// Wrong uses, and what was not given back: streams, memory, communicators. Empty: all is well.
  [[nodiscard]] std::vector<std::string> Complaints() const;
};

}  // namespace dcn::testing
