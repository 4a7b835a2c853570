// The border between this program and the LibTorch engine, which is a plugin.
//
// Loading LibTorch costs half a second of every process start, and not everybody has it; so the
// engine is a shared library of its own (libdcn_torch_model.so) that torch_loader.h opens when it
// is asked for. Both sides are compiled from the same sources and exchange C++ objects; the first
// two fields say whether they really are.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "common/status.h"
#include "worker/model/dense_model.h"
#include "worker/model/model_spec.h"

namespace dcn::model {

/// What the plugin makes: a model, and what its user should be told about how it computes.
struct TorchEngine {
  std::unique_ptr<DenseModel> model;
  std::string warning;  // empty: nothing to say
};

/// What the plugin's one exported function returns. Lives as long as the plugin is loaded.
struct TorchPlugin {
  const char* interface_hash;  // of the headers that both sides include
  int cxx11_abi;               // _GLIBCXX_USE_CXX11_ABI: the layout of std::string

  /// gpu: where to compute; without one, on the processor. REQUIRES: spec.Validate() is ok,
  /// threads >= 1, max_slice_rows >= 1, and gpu in [0, count_gpus()).
  /// kInternal: LibTorch failed (its message).
  Result<TorchEngine> (*make)(const ModelSpec& spec, int threads, std::size_t max_slice_rows,
                              std::optional<int> gpu);

  /// GPUs that LibTorch can use, at least 1. kInvalidArgument: none, and why.
  Result<int> (*count_gpus)();
};

/// Name and type of the exported function.
inline constexpr const char* kTorchPluginSymbol = "DcnTorchPlugin";
using TorchPluginFunction = const TorchPlugin* (*)();

}  // namespace dcn::model
