// What --engine, --device, --reduce and --precision come to on this machine.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>

#include "common/status.h"
#include "launch/job/host.h"
#include "launch/main/worker_options.h"

namespace dcn::launch {

/// Where the LibTorch engine is: build/lib beside build/bin, or the program's own folder.
std::filesystem::path TorchPluginPath();

/// Settles options.engine ("onednn" or "torch") and options.device ("cpu" or "cuda"), and returns
/// this rank's GPU if it is to compute on one. hosts: by rank.
/// kInvalidArgument: the options exclude each other, or this build, LibTorch or machine lacks what
/// they need; the message names it. kInternal: LibTorch cannot be loaded.
[[nodiscard]] Result<std::optional<int>> ChooseDevice(std::span<const job::Host> hosts,
                                                      std::size_t rank, WorkerOptions& options);

/// Sets what CUDA's libraries read from the environment when they start: the same bits from call to
/// call (CUBLAS_WORKSPACE_CONFIG, unless the user has set it).
void PrepareCudaEnvironment();

}  // namespace dcn::launch
