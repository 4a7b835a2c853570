#include "worker/model/onednn_isa.h"

#include <dnnl.hpp>
#include <fmt/core.h>

namespace dcn::model {

std::uint32_t OnednnInstructionSet() {
  return static_cast<std::uint32_t>(dnnl::get_effective_cpu_isa());
}

std::string InstructionSetName(std::uint32_t instruction_set) {
  switch (static_cast<dnnl::cpu_isa>(instruction_set)) {
    case dnnl::cpu_isa::sse41:
      return "sse41";
    case dnnl::cpu_isa::avx:
      return "avx";
    case dnnl::cpu_isa::avx2:
      return "avx2";
    case dnnl::cpu_isa::avx2_vnni:
      return "avx2_vnni";
    case dnnl::cpu_isa::avx512_core:
      return "avx512_core";
    case dnnl::cpu_isa::avx512_core_vnni:
      return "avx512_core_vnni";
    case dnnl::cpu_isa::avx512_core_bf16:
      return "avx512_core_bf16";
    case dnnl::cpu_isa::avx512_core_amx:
      return "avx512_core_amx";
    default:
      return fmt::format("instruction set {:#x}", instruction_set);
  }
}

Status CheckBf16(std::uint32_t instruction_set) {
  constexpr auto kNeeded = static_cast<std::uint32_t>(dnnl::cpu_isa::avx512_core_bf16);
  if ((instruction_set & kNeeded) == kNeeded) return Status();
  return Error(
      StatusCode::kInvalidArgument,
      "it needs a processor with avx512_bf16 or amx_bf16, and oneDNN has {} here; use fp32",
      InstructionSetName(instruction_set));
}

std::string OnednnDescription() {
  const dnnl_version_t& version = *dnnl::version();
  return fmt::format("onednn {}.{}.{} ({})", version.major, version.minor, version.patch,
                     InstructionSetName(OnednnInstructionSet()));
}

}  // namespace dcn::model
