// CUDA's calls of the stand-in, and the stand-in itself.

#include <cstring>
#include <stdexcept>
#include <utility>

#include <fmt/core.h>

#include "common/floating_point.h"
#include "tests/testing/cuda_stand_in/state.h"
#include "worker/communicator/nccl_kernels.h"

namespace dcn::testing {
namespace {

std::unique_ptr<State> the_state;
thread_local int current_gpu = 0;

}  // namespace

State& TheState() {
  if (the_state == nullptr) throw std::logic_error("no CudaStandIn lives");
  return *the_state;
}

int CurrentGpu() { return current_gpu; }

CudaStandIn::CudaStandIn(int gpus) {
  if (the_state != nullptr) throw std::logic_error("a CudaStandIn lives already");
  the_state = std::make_unique<State>(gpus);
}

CudaStandIn::~CudaStandIn() { the_state.reset(); }

GpuFaults& CudaStandIn::faults(int gpu) {
  return TheState().faults.at(static_cast<std::size_t>(gpu));
}
void CudaStandIn::CheckMemory(bool is_checked) { TheState().checks_memory = is_checked; }
int CudaStandIn::aborted() const { return TheState().aborted; }
int CudaStandIn::destroyed() const { return TheState().destroyed; }

std::vector<std::string> CudaStandIn::Complaints() const {
  const State& state = TheState();
  std::vector<std::string> complaints = state.complaints;
  const auto add = [&](std::size_t left, const char* what) {
    if (left > 0) complaints.push_back(fmt::format("{} {} not given back", left, what));
  };
  add(state.streams.size(), "streams");
  add(state.memory.size(), "allocations");
  add(state.comms.size(), "communicators");
  return complaints;
}

bool State::IsMemory(const void* from, std::size_t bytes, MemoryKind kind, const char* what) {
  if (!checks_memory) return true;
  const auto* const begin = static_cast<const std::byte*>(from);
  auto found = memory.upper_bound(begin);
  if (found != memory.begin()) {
    --found;
    const Allocation& allocation = found->second;
    const bool is_inside = begin + bytes <= found->first + allocation.bytes;
    const bool is_mine = kind == MemoryKind::kPinned || allocation.gpu == current_gpu;
    if (is_inside && is_mine && allocation.kind == kind) return true;
  }
  complaints.push_back(fmt::format("{}: {} bytes that are not {}", what, bytes,
                                   kind == MemoryKind::kPinned ? "pinned" : "of this GPU"));
  return false;
}

void PutOnStream(State& state, CUstream_st* stream, const ncclComm* comm,
                 std::function<bool()> is_done) {
  const int polls = state.faults[static_cast<std::size_t>(stream->gpu)].stream_polls;
  stream->operations.push_back({std::move(is_done), comm, polls});
}

namespace {

// Whether an address is a GPU's, for copies that find out by themselves; locked.
bool IsDeviceAddress(const State& state, const void* address) {
  const auto* const begin = static_cast<const std::byte*>(address);
  auto found = state.memory.upper_bound(begin);
  if (found == state.memory.begin()) return false;
  --found;
  return begin < found->first + found->second.bytes && found->second.kind == MemoryKind::kDevice;
}

cudaError_t Allocate(void** memory, std::size_t bytes, MemoryKind kind) {
  State& state = TheState();
  const std::lock_guard lock(state.mutex);
  if (kind == MemoryKind::kDevice) {
    std::size_t taken = bytes;
    for (const auto& [address, allocation] : state.memory) {
      if (allocation.kind == kind && allocation.gpu == current_gpu) taken += allocation.bytes;
    }
    if (taken > state.faults[static_cast<std::size_t>(current_gpu)].memory_bytes) {
      return cudaErrorMemoryAllocation;
    }
  }
  auto* const made = new std::byte[bytes];
  std::memset(made, 0xA5, bytes);  // nobody may count on zeros
  state.memory[made] = {bytes, kind, current_gpu};
  *memory = made;
  return cudaSuccess;
}

cudaError_t Free(void* memory, MemoryKind kind) {
  State& state = TheState();
  const std::lock_guard lock(state.mutex);
  const auto found = state.memory.find(static_cast<std::byte*>(memory));
  if (found == state.memory.end() || found->second.kind != kind) return cudaErrorInvalidValue;
  // CUDA waits here for what the GPU does; behind an NCCL kernel that hangs, for ever.
  for (CUstream_st* const stream : state.streams) {
    if (stream->gpu != current_gpu) continue;
    for (const StandInOperation& operation : stream->operations) {
      if (operation.comm == nullptr) continue;
      state.complaints.emplace_back("memory given back while NCCL is at work on the stream");
    }
  }
  delete[] found->first;
  state.memory.erase(found);
  return cudaSuccess;
}

}  // namespace
}  // namespace dcn::testing

using dcn::testing::MemoryKind;
using dcn::testing::State;
using dcn::testing::TheState;

cudaError_t cudaGetDeviceCount(int* count) {
  *count = static_cast<int>(TheState().faults.size());
  return *count == 0 ? cudaErrorNoDevice : cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= static_cast<int>(TheState().faults.size())) {
    return cudaErrorInvalidDevice;
  }
  dcn::testing::current_gpu = device;
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned /*flags*/) {
  State& state = TheState();
  const std::lock_guard lock(state.mutex);
  *stream = new CUstream_st{dcn::testing::current_gpu, {}};
  state.streams.insert(*stream);
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  State& state = TheState();
  const std::lock_guard lock(state.mutex);
  if (state.streams.erase(stream) == 0) return cudaErrorInvalidResourceHandle;
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  State& state = TheState();
  const std::lock_guard lock(state.mutex);
  if (!state.streams.contains(stream)) return cudaErrorInvalidResourceHandle;
  while (!stream->operations.empty()) {
    StandInOperation& operation = stream->operations.front();
    if (operation.polls_left > 0) {
      if (operation.polls_left != dcn::testing::kNever) --operation.polls_left;
      return cudaErrorNotReady;
    }
    if (!operation.is_done()) return cudaErrorNotReady;
    stream->operations.pop_front();
  }
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  return dcn::testing::Allocate(memory, bytes, MemoryKind::kDevice);
}
cudaError_t cudaFree(void* memory) { return dcn::testing::Free(memory, MemoryKind::kDevice); }
cudaError_t cudaMallocHost(void** memory, std::size_t bytes) {
  return dcn::testing::Allocate(memory, bytes, MemoryKind::kPinned);
}
cudaError_t cudaFreeHost(void* memory) { return dcn::testing::Free(memory, MemoryKind::kPinned); }

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  State& state = TheState();
  const std::lock_guard lock(state.mutex);
  const bool finds_out = kind == cudaMemcpyDefault;
  const auto kind_of = [&](const void* address, bool is_device) {
    const bool on_device = finds_out ? dcn::testing::IsDeviceAddress(state, address) : is_device;
    return on_device ? MemoryKind::kDevice : MemoryKind::kPinned;
  };
  const bool from_device = kind == cudaMemcpyDeviceToDevice || kind == cudaMemcpyDeviceToHost;
  const bool to_device = kind == cudaMemcpyDeviceToDevice || kind == cudaMemcpyHostToDevice;
  if (!state.IsMemory(from, bytes, kind_of(from, from_device), "a copy's source") ||
      !state.IsMemory(to, bytes, kind_of(to, to_device), "a copy's target")) {
    return cudaErrorInvalidValue;
  }
  dcn::testing::PutOnStream(state, stream, nullptr, [=] {
    std::memcpy(to, from, bytes);
    return true;
  });
  return cudaSuccess;
}

const char* cudaGetErrorString(cudaError_t code) {
  switch (code) {
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorNoDevice:
      return "no CUDA-capable device is detected";
    case cudaErrorIllegalAddress:
      return "an illegal memory access was encountered";
    default:
      return "another error of the stand-in";
  }
}

// The kernel's launcher, as nccl_kernels.cu has it.
int dcn::comm::QueueAdd(float* into, const float* from, std::size_t count, CUstream_st* stream) {
  State& state = TheState();
  const std::lock_guard lock(state.mutex);
  const cudaError_t error = state.faults[static_cast<std::size_t>(stream->gpu)].kernel_error;
  if (error != cudaSuccess) return error;
  const std::size_t bytes = count * sizeof(float);
  if (count == 0) return cudaSuccess;
  if (!state.IsMemory(into, bytes, MemoryKind::kDevice, "a kernel's target") ||
      !state.IsMemory(from, bytes, MemoryKind::kDevice, "a kernel's source")) {
    return cudaErrorIllegalAddress;
  }
  dcn::testing::PutOnStream(state, stream, nullptr, [=] {
    dcn::FlushDenormalsToZero();  // as the kernel is compiled
    for (std::size_t i = 0; i < count; ++i) into[i] += from[i];
    return true;
  });
  return cudaSuccess;
}
