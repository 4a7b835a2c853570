// One big table of a shard, in this process or behind a server, and frozen batches of 8,192 random
// keys to pull from it and push to it, one after the other, over and over.
//
// Keeps count of the steps, so that the values of any row can be recomputed, one step at a time, by
// the tests' slow table.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ps/protocol.h"
#include "ps/shard_client.h"

namespace dcn::benchmarks {

/// Thread safety: none.
class TableWorkload {
 public:
  static constexpr std::size_t kBatchKeys = 8192;
  static constexpr std::size_t kDimension = 32;
  static constexpr std::size_t kBatches = 64;

  /// Makes the table and its rows 0 .. rows-1. client: of a shard without tables, or of so many
  /// `shards` as one (shard_group.h); outlives this. REQUIRES: rows >= kBatchKeys.
  TableWorkload(const ps::OptimizerOptions& optimizer, std::size_t rows, ps::ShardClient& client,
                std::uint32_t shards = 1);

  /// The keys of a batch: distinct, in the order of their shards, then increasing. Batches are used
  /// in turn, batch % kBatches.
  [[nodiscard]] std::span<const ps::Key> keys(std::size_t batch) const {
    return keys_[batch % kBatches];
  }
  /// What the last pull read, [kBatchKeys, kDimension].
  [[nodiscard]] std::span<const float> pulled() const { return pulled_; }

  void Pull(std::size_t batch);
  /// Pushes a gradient for the next batch.
  void Push();
  /// Pushes a gradient for the next batch, and pulls the one behind it.
  void PushPull();

  /// Pulls some rows of the batch that was pushed first and compares each with a slow table's
  /// (tests/ps/slow_table.h) after all the steps since. Throws CheckError where a bit differs.
  void CheckRows();

  /// First values of a row.
  static std::array<float, kDimension> FirstValues(ps::Key key);

 private:
  void StartPush(std::span<const ps::RowsToPull> pull);
  [[nodiscard]] std::span<const float> GradientOf(ps::Key key, std::size_t batch) const;

  ps::TableDefinition definition_;
  ps::ShardClient& client_;
  ps::Step step_ = 0;
  std::array<std::vector<ps::Key>, kBatches> keys_;
  std::vector<float> gradients_;  // [kBatchKeys, kDimension], by position in any batch
  std::vector<float> pulled_;
  std::vector<std::uint16_t> nodes_;  // the root, for every key
};

}  // namespace dcn::benchmarks
