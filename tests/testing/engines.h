// The engines under test, by name.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "worker/model/dense_model.h"
#include "worker/model/model_spec.h"

namespace dcn::testing {

/// The LibTorch engine's file as this build made it; empty when built without LibTorch.
std::filesystem::path TorchPluginPath();

/// Every engine there is, built or not: "onednn", "torch". A test of one that is not built says so
/// and is skipped.
std::vector<std::string> EngineNames();

/// Whether this build has the engine.
bool HasEngine(const std::string& name);

/// Makes an engine. REQUIRES: HasEngine(name). Throws std::runtime_error when it cannot be made.
std::unique_ptr<model::DenseModel> MakeEngine(const std::string& name, const model::ModelSpec& spec,
                                              int threads, std::size_t max_slice_rows);

}  // namespace dcn::testing

/// Skips the current test, loudly, where the build lacks the engine.
#define DCN_SKIP_WITHOUT_ENGINE(name)                                                           \
  if (!::dcn::testing::HasEngine(name))                                                         \
  GTEST_SKIP() << "built without LibTorch (libtorch-dev not installed, or DCN_TORCH=OFF): the " \
                  "engine torch is not tested"
