// Where a row lives: key -> virtual bucket -> shard.
//
// The bucket of a key never changes; only the map from buckets to shards depends on how many
// shards there are. Results do not depend on either.
#pragma once

#include <cstdint>

#include "ps/protocol.h"

namespace dcn::ps {

/// Number of virtual buckets; an upper limit for the number of shards of a job.
inline constexpr std::uint32_t kVirtualBuckets = 4096;

/// Mixes the bits of a key: the finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). Also the
/// hash of the tables.
constexpr std::uint64_t MixKey(Key key) {
  std::uint64_t z = key + 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

/// The virtual bucket of a row, in [0, kVirtualBuckets). Taken from the top bits of the mixed key,
/// so that the low bits stay free for the table's own index.
constexpr std::uint32_t VirtualBucket(TableId table, Key key) {
  return static_cast<std::uint32_t>(MixKey(key + (static_cast<std::uint64_t>(table) << 48)) >> 52);
}

/// The shard, in [0, shard_count), that owns a row: bucket ranges of equal size, in order.
/// REQUIRES: 1 <= shard_count <= kVirtualBuckets.
constexpr std::uint32_t ShardOf(TableId table, Key key, std::uint32_t shard_count) {
  return VirtualBucket(table, key) * shard_count / kVirtualBuckets;
}

}  // namespace dcn::ps
