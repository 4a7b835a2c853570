// The kernels. Compiled by nvcc without fast-math, with --fmad=false (a lone addition has nothing
// to contract anyway) and with --ftz=true: denormals are zero going in and coming out, as on every
// computing thread of the host (common/floating_point.h). So its bits are the host's.

#include <cuda_runtime.h>

#include "worker/communicator/nccl_kernels.h"

namespace dcn::comm {
namespace {

constexpr unsigned kThreads = 256;
constexpr std::size_t kMaxBlocks = 4096;  // a thread adds several where there are more values

__global__ void Add(float* __restrict__ into, const float* __restrict__ from, std::size_t count) {
  const std::size_t stride = static_cast<std::size_t>(gridDim.x) * blockDim.x;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += stride) {
    into[i] = __fadd_rn(into[i], from[i]);
  }
}

}  // namespace

int QueueAdd(float* into, const float* from, std::size_t count, CUstream_st* stream) {
  if (count == 0) return 0;
  const std::size_t blocks = (count + kThreads - 1) / kThreads;
  Add<<<static_cast<unsigned>(blocks < kMaxBlocks ? blocks : kMaxBlocks), kThreads, 0, stream>>>(
      into, from, count);
  return static_cast<int>(cudaGetLastError());
}

}  // namespace dcn::comm
