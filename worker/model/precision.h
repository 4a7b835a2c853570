// The number format of what a model's products read and write.
#pragma once

#include <string_view>

namespace dcn::model {

/// Parameters, their gradients, their optimizer and losses are float32 whatever it is, as are sums
/// over a product's terms, over rows and over a batch.
enum class Precision {
  kFp32,
  kBf16,  // looked-up embeddings, activations, the gradients of both, and W as products read it
};

/// "fp32" or "bf16". REQUIRES: one of these.
inline Precision PrecisionFromName(std::string_view name) {
  return name == "bf16" ? Precision::kBf16 : Precision::kFp32;
}

}  // namespace dcn::model
