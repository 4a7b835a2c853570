// What this program computes on a GPU by itself.
#pragma once

#include <cstddef>

struct CUstream_st;  // what cudaStream_t points to

namespace dcn::comm {

/// Queues into[i] += from[i] for i < count, each sum rounded once, denormals read and written as
/// zero of their sign: a node of the tree. Device pointers. Returns CUDA's error code
/// (cudaError_t), 0 if it was queued.
[[nodiscard]] int QueueAdd(float* into, const float* from, std::size_t count, CUstream_st* stream);

}  // namespace dcn::comm
