#include "common/digest.h"

#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "common/bytes.h"

namespace dcn {
namespace {

// As printed by `xxhsum -H2` and `xxhsum -H3`.
TEST(DigestTest, GivesThePublishedValues) {
  EXPECT_EQ(Digest128Hex(""), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(Digest128Hex("abc"), "06b05ab6733a618578af5f94892f3950");
  EXPECT_EQ(Checksum64(""), 0x2d06800538d394c2U);
  EXPECT_EQ(Checksum64("abc"), 0x78af5f94892f3950U);
}

TEST(DigestTest, WhereTheBytesAreCutDoesNotMatter) {
  std::string bytes(5000, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * i % 253);
  const std::string whole = Digest128Hex(bytes);
  for (const std::size_t piece : {1U, 3U, 240U, 241U, 1024U, 4999U, 5000U}) {
    Digest128 digest;
    for (std::size_t i = 0; i < bytes.size(); i += piece) {
      digest.Update(std::string_view(bytes).substr(i, piece));
    }
    EXPECT_EQ(digest.Hex(), whole) << piece;
  }
}

TEST(DigestTest, TakesMoreAfterHex) {
  Digest128 digest;
  EXPECT_EQ(digest.Hex(), Digest128Hex(""));
  digest.Update("ab");
  EXPECT_EQ(digest.Hex(), Digest128Hex("ab"));
  digest.Update("");
  Digest128 moved = std::move(digest);
  moved.Update("c");
  EXPECT_EQ(moved.Hex(), Digest128Hex("abc"));
}

TEST(DigestTest, EveryBitCounts) {
  const std::string bytes(300, 'x');
  const std::string digest = Digest128Hex(bytes);
  const std::uint64_t checksum = Checksum64(bytes);
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_NE(Digest128Hex(flipped), digest);
    EXPECT_NE(Checksum64(flipped), checksum);
  }
}

}  // namespace
}  // namespace dcn
