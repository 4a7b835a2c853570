// What a build without CUDA and NCCL has in place of device_reduction.cc.

#include "launch/job/device_reduction.h"

namespace dcn::job {
namespace {

Status Absent() {
  return Error(StatusCode::kInvalidArgument,
               "this program was built without CUDA and NCCL, which combine the gradients of "
               "several workers on GPUs: configure with -DDCN_ENABLE_CUDA=ON, which says what is "
               "missing");
}

}  // namespace

Result<int> ChooseGpu(std::span<const Host> /*hosts*/, std::size_t /*rank*/) { return Absent(); }

Result<std::unique_ptr<DeviceReduction>> DeviceReduction::Open(
    const DeviceReductionOptions& /*options*/, comm::Communicator& /*communicator*/,
    ThreadPool& /*pool*/) {
  return Absent();
}

}  // namespace dcn::job
