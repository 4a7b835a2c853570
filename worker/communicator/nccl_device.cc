#include "worker/communicator/nccl_device.h"

#include "common/check.h"
#include "worker/communicator/nccl_border.h"

namespace dcn::comm {

Result<int> CountGpus() {
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  if (code == cudaSuccess && count > 0) return count;
  return Error(StatusCode::kInvalidArgument, "this process may use no GPU: {}",
               code == cudaSuccess ? "there is none" : cudaGetErrorString(code));
}

Result<int> ChooseGpu(int local_rank, int ranks_on_host) {
  DCN_CHECK_GE(local_rank, 0);
  DCN_CHECK_LT(local_rank, ranks_on_host);
  DCN_ASSIGN_OR_RETURN(const int gpus, CountGpus());
  if (ranks_on_host > gpus) {
    return Error(StatusCode::kInvalidArgument,
                 "every worker needs a GPU of its own: {} workers on this host, {} GPU{} that they "
                 "may use (CUDA_VISIBLE_DEVICES must show all of them to each worker)",
                 ranks_on_host, gpus, gpus == 1 ? "" : "s");
  }
  return local_rank;
}

Result<GpuStream> GpuStream::Open(int gpu) {
  DCN_RETURN_IF_CUDA_ERROR(cudaSetDevice(gpu), fmt::format("choosing GPU {}", gpu));
  cudaStream_t stream = nullptr;
  DCN_RETURN_IF_CUDA_ERROR(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking),
                           fmt::format("making a stream on GPU {}", gpu));
  return GpuStream(stream);
}

GpuStream::~GpuStream() {
  if (stream_ != nullptr) DCN_IGNORE_CUDA_ERROR(cudaStreamDestroy(stream_));
}

Result<GpuFloats> GpuFloats::Make(Place place, std::size_t size) {
  if (size == 0) return GpuFloats();
  const std::size_t bytes = size * sizeof(float);
  void* memory = nullptr;
  const bool is_pinned = place == Place::kPinnedHost;
  DCN_RETURN_IF_CUDA_ERROR(
      is_pinned ? cudaMallocHost(&memory, bytes) : cudaMalloc(&memory, bytes),
      fmt::format("taking {} bytes of {}", bytes, is_pinned ? "pinned host memory" : "a GPU"));
  return GpuFloats(place, {static_cast<float*>(memory), size});
}

GpuFloats::~GpuFloats() {
  if (values_.empty()) return;
  DCN_IGNORE_CUDA_ERROR(place_ == Place::kPinnedHost ? cudaFreeHost(values_.data())
                                                     : cudaFree(values_.data()));
}

Status QueueCopy(std::span<const float> from, std::span<float> to, CUstream_st* stream) {
  DCN_CHECK_EQ(from.size(), to.size());
  if (from.empty() || from.data() == to.data()) return Status();
  return FromCuda(
      cudaMemcpyAsync(to.data(), from.data(), from.size_bytes(), cudaMemcpyDefault, stream),
      "queueing a copy");
}

}  // namespace dcn::comm
