#include "common/aligned_floats.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <gtest/gtest.h>

namespace dcn {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

TEST(AlignedBlockTest, ABlockIsAlignedAndWritable) {
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{64}, std::size_t{65}, kHugePage - 1,
                                  kHugePage, kHugePage + 1, 5 * kHugePage + 123}) {
    const AlignedBlock<unsigned char> block(bytes);
    const auto address = reinterpret_cast<std::uintptr_t>(block.get());
    EXPECT_EQ(address % (bytes < kHugePage ? 64 : kHugePage), 0U) << bytes;
    std::memset(block.get(), 0x5a, bytes);
    EXPECT_EQ(block[bytes - 1], 0x5aU);
  }
}

}  // namespace
}  // namespace dcn
