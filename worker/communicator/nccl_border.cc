#include "worker/communicator/nccl_border.h"

namespace dcn::comm {

Status FromCuda(cudaError_t code, std::string_view what) {
  if (code == cudaSuccess) return Status();
  return Error(StatusCode::kInternal, "{}: CUDA: {}", what, cudaGetErrorString(code));
}

Status FromNccl(ncclResult_t code, ncclComm_t communicator, std::string_view what) {
  if (code == ncclSuccess || code == ncclInProgress) return Status();
  const char* const last = communicator != nullptr ? ncclGetLastError(communicator) : nullptr;
  const std::string_view detail = last != nullptr ? last : "";
  const bool is_gone = code == ncclRemoteError || code == ncclSystemError;
  return Error(is_gone ? StatusCode::kUnavailable : StatusCode::kInternal, "{}: NCCL: {}{}{}", what,
               ncclGetErrorString(code), detail.empty() ? "" : ": ", detail);
}

}  // namespace dcn::comm
