// The engines under test, by name.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "worker/model/dense_model.h"
#include "worker/model/model_spec.h"

namespace dcn::testing {

/// The LibTorch engine's file as this build made it; empty when built without LibTorch.
std::filesystem::path TorchPluginPath();

/// Every engine of full precision, built or not: "onednn", "torch". A test of one that is not there
/// says so and is skipped.
std::vector<std::string> EngineNames();

/// The onednn engine in bf16 (model::Precision).
inline constexpr const char* kBf16Engine = "onednn_bf16";

/// Why the engine, one of the above, cannot compute here; empty where it can.
std::string WhyNoEngine(const std::string& name);

/// Makes an engine; torch on a GPU, if one is given. REQUIRES: WhyNoEngine(name) is empty. Throws
/// std::runtime_error when it cannot be made.
std::unique_ptr<model::DenseModel> MakeEngine(const std::string& name, const model::ModelSpec& spec,
                                              int threads, std::size_t max_slice_rows,
                                              std::optional<int> gpu = std::nullopt);

/// Why the torch engine cannot compute on `gpus` GPUs here; empty where it can.
std::string WhyNoTorchGpus(int gpus);

}  // namespace dcn::testing

/// Skips the current test, loudly, where the build or the machine lacks the engine.
#define DCN_SKIP_WITHOUT_ENGINE(name)                                                  \
  if (const std::string dcn_why = ::dcn::testing::WhyNoEngine(name); !dcn_why.empty()) \
  GTEST_SKIP() << dcn_why

/// Skips the current test, loudly, where the torch engine has fewer GPUs.
#define DCN_SKIP_WITHOUT_TORCH_GPUS(gpus)                                                 \
  if (const std::string dcn_why = ::dcn::testing::WhyNoTorchGpus(gpus); !dcn_why.empty()) \
  GTEST_SKIP() << "the torch engine is not tested on GPUs: " << dcn_why
