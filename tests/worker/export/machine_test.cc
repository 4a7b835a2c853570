#include "worker/export/machine.h"

#include <cstddef>
#include <cstdint>
#include <memory>

#include <gtest/gtest.h>

#include "common/thread_pool.h"

namespace dcn::output {
namespace {

TEST(MachineTest, DescribesThisOne) {
  const MachineSummary machine = DescribeMachine();
  EXPECT_EQ(machine.cores, AvailableProcessors());
  EXPECT_GT(machine.memory_bytes, 1ULL << 26);
#if defined(__x86_64__)
  EXPECT_NE(machine.cpu_model, "");
#endif
  EXPECT_EQ(machine.cpu_model.find('\n'), std::string::npos);
}

TEST(MachineTest, PeakRssGrowsWithWhatIsTouched) {
  constexpr std::size_t kBytes = 64 << 20;
  const std::uint64_t before = PeakRssBytes();
  EXPECT_GT(before, 0U);
  const auto touched = std::make_unique<char[]>(kBytes);
  volatile char* const byte = touched.get();
  for (std::size_t i = 0; i < kBytes; i += 512) byte[i] = 1;
  EXPECT_GE(PeakRssBytes(), kBytes);
  EXPECT_GE(PeakRssBytes(), before);
}

}  // namespace
}  // namespace dcn::output
