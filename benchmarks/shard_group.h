// Several shards seen as one: requests whose keys are in the order of the shards are cut where the
// shard changes and go to all of them at the same time, as a worker's requests do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ps/shard_client.h"

namespace dcn::benchmarks {

/// Thread safety: none.
class ShardGroup final : public ps::ShardClient {
 public:
  /// shards: at least one; the position is the shard's number.
  explicit ShardGroup(std::vector<std::unique_ptr<ps::ShardClient>> shards);

  [[nodiscard]] Status CreateTables(std::span<const ps::TableDefinition> tables) override;
  /// REQUIRES: at most one table in `push` and in `pull`, their keys in the order of the shards.
  void StartPushPull(const ps::PushRequest& push, std::span<const ps::RowsToPull> pull) override;
  void StartPull(std::span<const ps::RowsToPull> pull) override;
  [[nodiscard]] Status Finish() override;
  [[nodiscard]] ps::StepFlags step_flags() const override { return shards_.front()->step_flags(); }
  /// Keys in any order.
  [[nodiscard]] Status Assign(ps::TableId table, std::span<const ps::Key> keys,
                              std::span<const float> values) override;
  // No benchmark asks for these: kInternal.
  [[nodiscard]] Status OpenSnapshots(const ps::SnapshotPlace& place) override;
  [[nodiscard]] Result<ps::SnapshotReport> QuerySnapshot(ps::Step step) override;
  [[nodiscard]] Status BeginRestore(ps::Step step, std::span<const float> step_sizes) override;
  [[nodiscard]] Status RestoreRows(const ps::RowsToRestore& rows) override;

 private:
  // What one shard gets of a request.
  struct Part {
    std::vector<ps::RowGradients> gradients;
    std::vector<ps::RowsToPull> pull;
  };

  [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(shards_.size()); }
  // Calls take(shard, first, count) for the shards' stretches of `keys`.
  template <typename Take>
  void Cut(ps::TableId table, std::span<const ps::Key> keys, Take take) const;
  void CutPull(std::span<const ps::RowsToPull> pull);

  const std::vector<std::unique_ptr<ps::ShardClient>> shards_;
  std::vector<Part> parts_;  // by shard
};

}  // namespace dcn::benchmarks
