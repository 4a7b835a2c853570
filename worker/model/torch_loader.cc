#include "worker/model/torch_loader.h"

#include <dlfcn.h>
#include <string_view>
#include <system_error>
#include <utility>

#include <spdlog/spdlog.h>

#include "common/check.h"
#include "worker/model/torch_plugin.h"

namespace dcn::model {
namespace {

const char* LastLoaderError() {
  const char* message = dlerror();
  return message != nullptr ? message : "unknown error of the dynamic loader";
}

Result<const TorchPlugin*> OpenLibrary(const std::filesystem::path& path) {
  if (std::error_code error; !std::filesystem::exists(path, error)) {
    return Error(StatusCode::kInvalidArgument,
                 "engine torch: built without LibTorch: {} does not exist; install libtorch-dev "
                 "(or configure with -DCMAKE_PREFIX_PATH=…/torch) and build again, or use the "
                 "engine onednn",
                 path.string());
  }
  // Never closed: LibTorch cannot be unloaded, and models point into the library.
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return Error(StatusCode::kInternal, "engine torch: cannot load {}: {}", path.string(),
                 LastLoaderError());
  }
  void* const symbol = dlsym(library, kTorchPluginSymbol);
  if (symbol == nullptr) {
    return Error(StatusCode::kInternal, "engine torch: {} is not the plugin of this program: {}",
                 path.string(), LastLoaderError());
  }
  return reinterpret_cast<TorchPluginFunction>(symbol)();
}

// Nothing behind the first two fields may be touched before they are known to be ours.
Status CheckInterface(const std::filesystem::path& path, const TorchPlugin& plugin) {
  if (std::string_view(plugin.interface_hash) != DCN_TORCH_INTERFACE_HASH) {
    return Error(StatusCode::kInternal,
                 "engine torch: {} was built from other sources than this program (interface {}, "
                 "expected {}); build both again",
                 path.string(), plugin.interface_hash, DCN_TORCH_INTERFACE_HASH);
  }
  if (plugin.cxx11_abi != _GLIBCXX_USE_CXX11_ABI) {
    return Error(StatusCode::kInternal,
                 "engine torch: {} was built with _GLIBCXX_USE_CXX11_ABI={}, this program with {}; "
                 "use a LibTorch with the same setting",
                 path.string(), plugin.cxx11_abi, _GLIBCXX_USE_CXX11_ABI);
  }
  return {};
}

Result<const TorchPlugin*> OpenPlugin(const std::filesystem::path& path) {
  DCN_ASSIGN_OR_RETURN(const TorchPlugin* const plugin, OpenLibrary(path));
  DCN_RETURN_IF_ERROR(CheckInterface(path, *plugin));
  return plugin;
}

}  // namespace

Result<std::unique_ptr<DenseModel>> LoadTorchModel(const std::filesystem::path& plugin,
                                                   const ModelSpec& spec, int threads,
                                                   std::size_t max_slice_rows,
                                                   std::optional<int> gpu) {
  DCN_CHECK_GE(threads, 1);
  DCN_CHECK_GE(max_slice_rows, 1U);
  DCN_RETURN_IF_ERROR(spec.Validate());
  DCN_ASSIGN_OR_RETURN(const TorchPlugin* const entry, OpenPlugin(plugin));
  DCN_ASSIGN_OR_RETURN(TorchEngine engine, entry->make(spec, threads, max_slice_rows, gpu));
  if (!engine.warning.empty()) spdlog::warn("{}", engine.warning);
  return std::move(engine.model);
}

Result<int> CountTorchGpus(const std::filesystem::path& plugin) {
  DCN_ASSIGN_OR_RETURN(const TorchPlugin* const entry, OpenPlugin(plugin));
  return entry->count_gpus();
}

}  // namespace dcn::model
