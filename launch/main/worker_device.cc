#include "launch/main/worker_device.h"

#include <cstdlib>
#include <system_error>

#include "launch/job/device_reduction.h"
#include "worker/model/onednn_isa.h"
#include "worker/model/torch_loader.h"

namespace dcn::launch {
namespace {

// This rank's GPU, as LibTorch and, for several ranks, NCCL see them.
Result<int> FindGpu(std::span<const job::Host> hosts, std::size_t rank) {
  if (hosts.size() > 1) DCN_RETURN_IF_ERROR(job::ChooseGpu(hosts, rank).status());
  DCN_ASSIGN_OR_RETURN(const int gpus, model::CountTorchGpus(TorchPluginPath()));
  const job::PlaceOnHost place = job::FindPlace(hosts, rank);
  if (place.ranks > gpus) {
    return Error(StatusCode::kInvalidArgument,
                 "every worker needs a GPU of its own: {} workers on this host, {} that LibTorch "
                 "can use",
                 place.ranks, gpus);
  }
  return place.local_rank;
}

// Of options whose engine is settled.
Status CheckPrecision(const WorkerOptions& options) {
  if (options.precision != "bf16") return Status();
  if (options.engine == "torch") {
    return Error(StatusCode::kInvalidArgument,
                 "--precision bf16: the engine torch computes in fp32 only; use --engine onednn");
  }
  const Status checked = model::CheckBf16(model::OnednnInstructionSet());
  if (checked.ok()) return checked;
  return Error(checked.code(), "--precision bf16: {}", checked.message());
}

}  // namespace

std::filesystem::path TorchPluginPath() {
  std::error_code ignored;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  const auto in_lib = program.parent_path().parent_path() / "lib" / model::kTorchPluginFile;
  if (std::filesystem::exists(in_lib, ignored)) return in_lib;
  return program.parent_path() / model::kTorchPluginFile;
}

Result<std::optional<int>> ChooseDevice(std::span<const job::Host> hosts, std::size_t rank,
                                        WorkerOptions& options) {
  std::optional<int> gpu;
  if (options.device == "cuda") {
    if (options.engine == "onednn") {
      return Error(
          StatusCode::kInvalidArgument,
          "--device cuda: the engine onednn computes on the processor; use --engine torch");
    }
    options.engine = "torch";
    const Result<int> found = FindGpu(hosts, rank);
    if (!found.ok()) {
      return Error(found.status().code(), "--device cuda: {}", found.status().message());
    }
    gpu = *found;
  } else if (options.device == "auto" && options.engine == "torch") {
    if (const Result<int> found = FindGpu(hosts, rank); found.ok()) gpu = *found;
  }
  if (options.engine == "auto") options.engine = "onednn";
  options.device = gpu ? "cuda" : "cpu";
  DCN_RETURN_IF_ERROR(CheckPrecision(options));
  if (options.reduce == "fast" && !gpu) {
    return Error(StatusCode::kInvalidArgument,
                 "--reduce fast: it is NCCL's all-reduce between GPUs; it needs --device cuda");
  }
  return gpu;
}

void PrepareCudaEnvironment() { setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*replace=*/0); }

}  // namespace dcn::launch
