// A plugin as another version of the sources would have built it: only its hash is right to read.

#include "worker/model/torch_plugin.h"

extern "C" const dcn::model::TorchPlugin* DcnTorchPlugin() {
  static constexpr dcn::model::TorchPlugin kPlugin{"of-last-week", 1, nullptr, nullptr};
  return &kPlugin;
}
