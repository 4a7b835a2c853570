#include "tests/testing/engines.h"

#include <stdexcept>
#include <utility>

#include "worker/model/onednn_model.h"
#include "worker/model/torch_loader.h"

namespace dcn::testing {

std::filesystem::path TorchPluginPath() { return DCN_TORCH_PLUGIN; }

std::vector<std::string> EngineNames() { return {"onednn", "torch"}; }

bool HasEngine(const std::string& name) {
  return name == "onednn" || (name == "torch" && !TorchPluginPath().empty());
}

std::unique_ptr<model::DenseModel> MakeEngine(const std::string& name, const model::ModelSpec& spec,
                                              int threads, std::size_t max_slice_rows) {
  if (name == "onednn") return model::MakeOnednnModel(spec, threads, max_slice_rows);
  auto made = model::LoadTorchModel(TorchPluginPath(), spec, threads, max_slice_rows);
  if (!made.ok()) throw std::runtime_error(made.status().ToString());
  return std::move(made).value();
}

}  // namespace dcn::testing
