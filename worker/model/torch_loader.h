// Opens the LibTorch engine, which is a plugin (torch_plugin.h says why).
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>

#include "common/status.h"
#include "worker/model/dense_model.h"
#include "worker/model/model_spec.h"

namespace dcn::model {

/// File name of the plugin, as built into the build folder's lib/.
inline constexpr const char* kTorchPluginFile = "libdcn_torch_model.so";

/// Loads `plugin` (once; it stays loaded as long as the process lives) and makes a model that
/// computes by LibTorch's autograd: the reference that the other engine is tested against.
/// LibTorch is limited to one thread for each call, so that results do not depend on threads.
/// Logs a warning where LibTorch computes products with a slow BLAS.
///
/// threads: how many threads may call at the same time, >= 1. max_slice_rows: >= 1. gpu: in
/// [0, CountTorchGpus()); without one, the model computes on the processor. A model on a GPU has
/// the same bits for any number of threads if the environment has CUBLAS_WORKSPACE_CONFIG=:4096:8
/// before the first call, and fails without; they differ from the processor's.
/// kInvalidArgument: no such file (this build has no LibTorch), or an invalid spec.
/// kInternal: a file that cannot be loaded, or that was built from other sources.
Result<std::unique_ptr<DenseModel>> LoadTorchModel(const std::filesystem::path& plugin,
                                                   const ModelSpec& spec, int threads,
                                                   std::size_t max_slice_rows,
                                                   std::optional<int> gpu = std::nullopt);

/// GPUs that the plugin's LibTorch can use, at least 1. kInvalidArgument: none, and why: a LibTorch
/// without CUDA, or no GPU; or no such file. kInternal: as LoadTorchModel.
Result<int> CountTorchGpus(const std::filesystem::path& plugin);

}  // namespace dcn::model
