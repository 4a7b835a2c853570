// A shard in this process, seen as any other: requests are direct calls, done when they return.
#pragma once

#include <cstdint>
#include <span>

#include "common/status.h"
#include "ps/server/shard.h"
#include "ps/shard_client.h"

namespace dcn::ps {

/// One rank's way to a shard. Several ranks of one process (in tests) each have their own
/// LocalShard on the same Shard, all used from one thread.
///
/// A pull that belongs to a push is answered once the step is applied. With several ranks, whoever
/// calls Finish() before all of them have pushed gets kUnavailable with the missing ranks named;
/// nothing is lost: the request stays started, and Finish() may be called again after they pushed.
class LocalShard final : public ShardClient {
 public:
  /// shard: outlives this object. rank: below the shard's number of ranks; pushes of another rank
  /// are refused.
  explicit LocalShard(Shard& shard, std::uint32_t rank = 0) : shard_(shard), rank_(rank) {}

  [[nodiscard]] Status CreateTables(std::span<const TableDefinition> tables) override;
  void StartPushPull(const PushRequest& push, std::span<const RowsToPull> pull) override;
  void StartPull(std::span<const RowsToPull> pull) override;
  [[nodiscard]] Status Finish() override;
  [[nodiscard]] StepFlags step_flags() const override { return shard_.step_flags(); }
  [[nodiscard]] Status Assign(TableId table, std::span<const Key> keys,
                              std::span<const float> values) override;
  [[nodiscard]] Status OpenSnapshots(const SnapshotPlace& place) override;
  [[nodiscard]] Result<SnapshotReport> QuerySnapshot(Step step) override {
    return shard_.QuerySnapshot(step);
  }
  [[nodiscard]] Status BeginRestore(Step step, std::span<const float> step_sizes) override {
    return shard_.BeginRestore(step, step_sizes);
  }
  [[nodiscard]] Status RestoreRows(const RowsToRestore& rows) override {
    return shard_.RestoreRows(rows);
  }

 private:
  void Start(std::span<const RowsToPull> pull, Step as_of);
  // Pulls if the step is applied, and says whether it is.
  bool TryPull();

  Shard& shard_;
  const std::uint32_t rank_;
  bool is_started_ = false;
  bool is_done_ = false;              // status_ is the request's answer
  Step as_of_ = 0;                    // the step to be applied before the pull
  std::span<const RowsToPull> pull_;  // of the started request
  Status status_;
};

}  // namespace dcn::ps
