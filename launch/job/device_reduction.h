// The combination of dense gradients on GPUs, where this build has CUDA and NCCL.
//
// Two files answer this header: device_reduction.cc, and device_reduction_absent.cc, which a build
// without CUDA takes instead and which says so. Nothing above needs to know which.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "common/status.h"
#include "common/thread_pool.h"
#include "launch/job/host.h"
#include "worker/communicator/communicator.h"
#include "worker/communicator/dense_reduction.h"

namespace dcn::job {

/// The GPU of a rank: one for each rank of its host. hosts: by rank. kInvalidArgument: this build
/// has no CUDA and NCCL, this process may use no GPU, or fewer than there are ranks on the host.
[[nodiscard]] Result<int> ChooseGpu(std::span<const Host> hosts, std::size_t rank);

struct DeviceReductionOptions {
  int gpu = 0;             // of ChooseGpu
  bool is_ordered = true;  // the tree's order and bits; else NCCL's
  std::uint32_t full_leaves = 1;
  std::size_t count = 0;                      // dense parameters
  std::chrono::milliseconds timeout{60'000};  // of each wait for other ranks
};

/// Thread safety: one thread, the one that opened it; it uses the pool's threads.
class DeviceReduction {
 public:
  /// Called by all ranks; communicator and pool must outlive it. kInvalidArgument: this build has
  /// no CUDA and NCCL. Else the errors of NcclCommunicator::Start and NcclReduction::Make.
  [[nodiscard]] static Result<std::unique_ptr<DeviceReduction>> Open(
      const DeviceReductionOptions& options, comm::Communicator& communicator, ThreadPool& pool);

  /// Leaves the other ranks at once, unless it was closed.
  virtual ~DeviceReduction() = default;

  [[nodiscard]] virtual comm::DenseReduction& reduction() = 0;
  /// Between GPUs, so far.
  [[nodiscard]] virtual std::uint64_t bytes_sent() const = 0;
  [[nodiscard]] virtual std::uint64_t bytes_received() const = 0;
  /// "2.27.3": NCCL's.
  [[nodiscard]] virtual std::string library_version() const = 0;

  /// Ends NCCL, together with the other ranks. Errors: those of NcclCommunicator::Close.
  [[nodiscard]] virtual Status Close() = 0;
};

}  // namespace dcn::job
