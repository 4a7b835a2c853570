// Where errors of CUDA and NCCL become a Status. Sees their headers; for the nccl files only.
#pragma once

#include <cuda_runtime_api.h>
#include <nccl.h>
#include <string_view>

#include "common/status.h"

namespace dcn::comm {

/// Ok for cudaSuccess; else kInternal with what was tried and CUDA's text.
[[nodiscard]] Status FromCuda(cudaError_t code, std::string_view what);

/// Ok for ncclSuccess, and for ncclInProgress: a call that goes on. kUnavailable: a rank is gone,
/// as the others see it (ncclRemoteError, or ncclSystemError where a call of the network failed).
/// Else kInternal. The message has NCCL's text, and the last one of `communicator` (may be null).
[[nodiscard]] Status FromNccl(ncclResult_t code, ncclComm_t communicator, std::string_view what);

}  // namespace dcn::comm

/// Returns from the enclosing function where a CUDA call fails.
#define DCN_RETURN_IF_CUDA_ERROR(call, what) DCN_RETURN_IF_ERROR(::dcn::comm::FromCuda(call, what))

/// The same for destructors, which go on: what cannot be given back is lost with the process.
#define DCN_IGNORE_CUDA_ERROR(call) static_cast<void>(call)
