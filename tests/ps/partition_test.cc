#include "ps/partition.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace dcn::ps {
namespace {

TEST(PartitionTest, KeysSpreadEvenlyOverBuckets) {
  // 2^20 consecutive keys, 256 a bucket on average with a deviation of 16: six of those are far.
  std::vector<int> rows(kVirtualBuckets);
  for (Key key = 0; key < Key{1} << 20; ++key) ++rows[VirtualBucket(2, key)];
  EXPECT_GT(*std::ranges::min_element(rows), 256 - 6 * 16);
  EXPECT_LT(*std::ranges::max_element(rows), 256 + 6 * 16);
}

TEST(PartitionTest, TablesSpreadTheSameKeysDifferently) {
  int same = 0;
  for (Key key = 0; key < 10000; ++key) same += VirtualBucket(0, key) == VirtualBucket(1, key);
  EXPECT_LT(same, 30);  // 2.4 by chance
}

TEST(PartitionTest, EveryShardOwnsItsShareOfTheBuckets) {
  for (std::uint32_t shards = 1; shards <= 9; ++shards) {
    std::vector<double> rows(shards);
    constexpr Key kKeys = 90000;
    for (Key key = 0; key < kKeys; ++key) {
      const std::uint32_t shard = ShardOf(0, key, shards);
      ASSERT_LT(shard, shards);
      ++rows[shard];
    }
    for (const double owned : rows) EXPECT_NEAR(owned * shards / kKeys, 1.0, 0.05) << shards;
  }
}

TEST(PartitionTest, AsManyShardsAsBucketsOwnOneEach) {
  for (Key key = 0; key < 1000; ++key) {
    EXPECT_EQ(ShardOf(3, key, kVirtualBuckets), VirtualBucket(3, key));
  }
}

TEST(PartitionTest, BucketsDoNotDependOnTheNumberOfShards) {
  // Doubling the shards splits each of them in two; no row changes sides otherwise.
  for (Key key = 0; key < 10000; ++key) EXPECT_EQ(ShardOf(0, key, 8) / 2, ShardOf(0, key, 4));
}

// Rows of a running job, of a checkpoint and of another release must be found where they were put.
TEST(PartitionTest, PlacesAreTheSameForEver) {
  EXPECT_EQ(MixKey(0), 0xe220a8397b1dcdafULL);  // SplitMix64's first output for seed 0
  EXPECT_EQ(VirtualBucket(0, 0), 0xe22U);
  EXPECT_EQ(ShardOf(0, 0, 5), 0xe22U * 5 / 4096);
  std::uint32_t digest = 0;
  for (std::uint32_t table = 0; table < 6; ++table) {
    for (Key key = 0; key < 1000; ++key) digest = digest * 31 + ShardOf(table, key * 977, 7);
  }
  EXPECT_EQ(digest, 3270671237U);
}

TEST(PartitionTest, MixedKeysOfOneShardKeepTheirLowBitsFree) {
  // The tables' index takes the low bits: rows of one shard must not share them.
  std::set<std::uint64_t> low;
  std::size_t count = 0;
  for (Key key = 0; key < 100000; ++key) {
    if (ShardOf(0, key, 4096) != 17) continue;
    ++count;
    low.insert(MixKey(key) & 0xffff);
  }
  EXPECT_GT(count, 10U);
  EXPECT_EQ(low.size(), count);
}

}  // namespace
}  // namespace dcn::ps
