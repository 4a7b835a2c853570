// In what the model keeps what stands between its products, and reads it.
#pragma once

#include <string_view>

namespace dcn::model {

/// Parameters, their gradients, their optimizer, losses and all sums are float32 whatever it is.
enum class Precision {
  kFp32,
  kBf16,  // what matrix products read, activations and their gradients are bfloat16
};

/// "fp32" or "bf16". REQUIRES: one of these.
inline Precision PrecisionFromName(std::string_view name) {
  return name == "bf16" ? Precision::kBf16 : Precision::kFp32;
}

}  // namespace dcn::model
