// Which processors may compute in bf16.

#include "worker/model/onednn_isa.h"

#include <dnnl.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dcn::model {
namespace {

using dnnl::cpu_isa;
using ::testing::HasSubstr;

Status Check(cpu_isa isa) { return CheckBf16(static_cast<std::uint32_t>(isa)); }

TEST(OnednnIsa, HasBf16WithAvx512Bf16AndWithAmx) {
  EXPECT_TRUE(Check(cpu_isa::avx512_core_bf16).ok());
  EXPECT_TRUE(Check(cpu_isa::avx512_core_amx).ok());
}

TEST(OnednnIsa, NamesWhatIsMissingElsewhere) {
  for (const cpu_isa isa : {cpu_isa::sse41, cpu_isa::avx, cpu_isa::avx2, cpu_isa::avx2_vnni,
                            cpu_isa::avx512_core, cpu_isa::avx512_core_vnni}) {
    const Status status = Check(isa);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(status.message(), HasSubstr("avx512_bf16"));
    EXPECT_THAT(status.message(), HasSubstr(InstructionSetName(static_cast<std::uint32_t>(isa))));
  }
}

TEST(OnednnIsa, TellsUnknownSetsApart) {
  EXPECT_THAT(InstructionSetName(0x7fffff01), HasSubstr("0x7fffff01"));
  EXPECT_NE(InstructionSetName(0x7fffff01), InstructionSetName(0x7fffff03));
}

TEST(OnednnIsa, DescribesTheLibraryAndThisMachine) {
  EXPECT_THAT(OnednnDescription(), HasSubstr(InstructionSetName(OnednnInstructionSet())));
}

}  // namespace
}  // namespace dcn::model
