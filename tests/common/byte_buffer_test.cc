#include "common/byte_buffer.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dcn {
namespace {

using ::testing::Each;

TEST(ByteBufferTest, KeepsWhatItHoldsWhenItGrows) {
  ByteBuffer buffer;
  for (const std::size_t size : {0U, 1U, 3U, 4096U, 100'000U}) {
    const std::size_t before = buffer.size();
    buffer.resize(size);
    std::fill(buffer.begin() + static_cast<std::ptrdiff_t>(before), buffer.end(), std::byte{7});
    EXPECT_EQ(buffer.size(), size);
    EXPECT_THAT(buffer, Each(std::byte{7}));
  }
}

TEST(ByteBufferTest, ShrinkingAndGrowingWithinItsMemoryTouchesNothing) {
  ByteBuffer buffer(64, std::byte{9});
  const std::byte* const memory = buffer.data();
  buffer.resize(8);
  buffer.resize(64);  // a vector with the standard allocator would fill 56 bytes with zeros
  EXPECT_EQ(buffer.data(), memory);
  EXPECT_THAT(buffer, Each(std::byte{9}));
}

TEST(ByteBufferTest, FillsWithAValueThatIsGiven) {
  ByteBuffer buffer(5, std::byte{3});
  buffer.resize(9, std::byte{3});
  EXPECT_THAT(buffer, Each(std::byte{3}));
  const ByteBuffer copy = buffer;
  EXPECT_EQ(copy, buffer);
  const ByteBuffer moved = std::move(buffer);
  EXPECT_EQ(moved, copy);
}

}  // namespace
}  // namespace dcn
