// The GPU of a rank, a stream on it, and memory that is given back.
//
// Seen by who owns a run on GPUs; CUDA's own headers stay behind this one.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "common/status.h"

struct CUstream_st;  // what cudaStream_t points to

namespace dcn::comm {

/// GPUs that this process may use. kInvalidArgument: none, with CUDA's reason (no driver, no
/// device, CUDA_VISIBLE_DEVICES).
[[nodiscard]] Result<int> CountGpus();

/// The GPU of a rank: one for each rank of a host. local_rank: among the ranks of this host.
/// kInvalidArgument: no GPU, or fewer than ranks.
[[nodiscard]] Result<int> ChooseGpu(int local_rank, int ranks_on_host);

/// A stream on one GPU. Movable.
/// Thread safety: one thread, the one that opened it: the GPU is made that thread's current one.
class GpuStream {
 public:
  /// gpu: of ChooseGpu. kInternal: CUDA failed.
  [[nodiscard]] static Result<GpuStream> Open(int gpu);

  ~GpuStream();
  GpuStream(GpuStream&& other) noexcept : stream_(std::exchange(other.stream_, nullptr)) {}
  GpuStream& operator=(GpuStream&& other) noexcept {
    std::swap(stream_, other.stream_);
    return *this;
  }

  [[nodiscard]] CUstream_st* get() const { return stream_; }

 private:
  explicit GpuStream(CUstream_st* stream) : stream_(stream) {}
  CUstream_st* stream_;
};

/// Floats on the current GPU, or host memory that it can copy from and to while the host goes on.
/// Not initialised. Movable. Giving it back waits for the GPU's work.
class GpuFloats {
 public:
  enum class Place { kDevice, kPinnedHost };

  GpuFloats() = default;
  /// kInternal: CUDA failed; out of memory among the reasons, with the size.
  [[nodiscard]] static Result<GpuFloats> Make(Place place, std::size_t size);

  ~GpuFloats();
  GpuFloats(GpuFloats&& other) noexcept
      : place_(other.place_), values_(std::exchange(other.values_, {})) {}
  GpuFloats& operator=(GpuFloats&& other) noexcept {
    std::swap(place_, other.place_);
    std::swap(values_, other.values_);
    return *this;
  }

  [[nodiscard]] std::span<float> span() const { return values_; }

 private:
  GpuFloats(Place place, std::span<float> values) : place_(place), values_(values) {}
  Place place_ = Place::kDevice;
  std::span<float> values_;
};

/// Queues a copy of from.size() floats, from host to GPU, GPU to host or GPU to GPU, whichever the
/// addresses are; to.size() must be the same. Host memory must be pinned and stay until the stream
/// has come so far. Errors: kInternal.
[[nodiscard]] Status QueueCopy(std::span<const float> from, std::span<float> to,
                               CUstream_st* stream);

}  // namespace dcn::comm
