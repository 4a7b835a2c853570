// What oneDNN is and which of the processor's instructions it uses.
#pragma once

#include <cstdint>
#include <string>

#include "common/status.h"

namespace dcn::model {

/// The instruction set that oneDNN uses on this machine, as the library's own bits: a set that
/// includes another has all of its bits. ONEDNN_MAX_CPU_ISA in the environment may lower it.
std::uint32_t OnednnInstructionSet();

/// The library's name of it: "avx512_core_bf16", or its number, where this does not know it.
std::string InstructionSetName(std::uint32_t instruction_set);

/// kInvalidArgument: the instruction set has no products of bfloat16 (avx512_bf16, or amx_bf16, has
/// them); the message says so. Elsewhere the library would emulate them, slower than float32.
Status CheckBf16(std::uint32_t instruction_set);

/// "onednn 2.6.3 (avx512_core_bf16)": the library's version and the instruction set it uses; both
/// decide about the bits of a product.
std::string OnednnDescription();

}  // namespace dcn::model
