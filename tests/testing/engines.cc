#include "tests/testing/engines.h"

#include <stdexcept>
#include <utility>

#include "worker/model/onednn_isa.h"
#include "worker/model/onednn_model.h"
#include "worker/model/precision.h"
#include "worker/model/torch_loader.h"

namespace dcn::testing {

std::filesystem::path TorchPluginPath() { return DCN_TORCH_PLUGIN; }

std::vector<std::string> EngineNames() { return {"onednn", "torch"}; }

std::string WhyNoEngine(const std::string& name) {
  if (name == "torch" && TorchPluginPath().empty()) {
    return "built without LibTorch (libtorch-dev not installed, or DCN_TORCH=OFF): the engine "
           "torch "
           "is not tested";
  }
  if (name == kBf16Engine) {
    const Status bf16 = model::CheckBf16(model::OnednnInstructionSet());
    if (!bf16.ok()) return "bf16 is not tested: " + bf16.message();
  }
  return {};
}

std::unique_ptr<model::DenseModel> MakeEngine(const std::string& name, const model::ModelSpec& spec,
                                              int threads, std::size_t max_slice_rows,
                                              std::optional<int> gpu) {
  if (name == "onednn") return model::MakeOnednnModel(spec, threads, max_slice_rows);
  if (name == kBf16Engine) {
    return model::MakeOnednnModel(spec, threads, max_slice_rows, model::Precision::kBf16);
  }
  auto made = model::LoadTorchModel(TorchPluginPath(), spec, threads, max_slice_rows, gpu);
  if (!made.ok()) throw std::runtime_error(made.status().ToString());
  return std::move(made).value();
}

std::string WhyNoTorchGpus(int gpus) {
  const Result<int> count = model::CountTorchGpus(TorchPluginPath());
  if (!count.ok()) return count.status().message();
  return *count >= gpus ? "" : fmt::format("it needs {}, and there are {}", gpus, *count);
}

}  // namespace dcn::testing
