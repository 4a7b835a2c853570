// A shard: its part of the rows of all tables, and the step that they have gone through.
//
// Owned by one thread; knows neither sockets nor who calls. Requests are checked as a whole before
// anything changes (request_check.h), parts of a step collected until all ranks have pushed
// (step_barrier.h), then applied at once (../table/embedding_table.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "common/status.h"
#include "ps/protocol.h"
#include "ps/server/shard_snapshot.h"
#include "ps/server/step_barrier.h"
#include "ps/table/embedding_table.h"

namespace dcn::ps {

/// Thread safety: none; calls come from one thread at a time. Every call sets that thread to flush
/// denormals to zero, which is part of the result (common/floating_point.h).
class Shard {
 public:
  /// ranks: how many workers push each step, >= 1. earlier: TakeSnapshotWriter of the shard that
  /// this one comes after; null: none.
  explicit Shard(std::uint32_t ranks = 1, std::unique_ptr<SnapshotWriter> earlier = nullptr);

  /// Creates the job's tables; the position in the list is the TableId. The same list again is no
  /// change. kInvalidArgument: a definition out of range, or a name that stands twice.
  /// kAlreadyExists: other tables exist; names the first table and field that differ.
  [[nodiscard]] Status CreateTables(std::span<const TableDefinition> tables);

  /// Takes one rank's part of step current_step() + 1, and applies the step if it is the last one.
  /// On an error nothing changes. kAlreadyExists: this rank has pushed this step.
  /// kOutOfRange: another step, or a table that does not exist. kInvalidArgument: what CheckPush
  /// and StepBarrier::Add refuse.
  [[nodiscard]] Status Push(const PushRequest& push);

  /// Reads rows as of current_step(). Reading creates no row.
  /// kOutOfRange: a table that does not exist. kInvalidArgument: sizes that do not fit.
  [[nodiscard]] Status Pull(std::span<const RowsToPull> pull);

  /// What Pull would answer, told before a push that it belongs to is applied.
  [[nodiscard]] Status CheckPull(std::span<const RowsToPull> pull) const;

  /// Sets rows' values, with a fresh optimizer state, as of current_step().
  /// values: [keys.size(), dimension], finite. Errors as above.
  [[nodiscard]] Status Assign(TableId table, std::span<const Key> keys,
                              std::span<const float> values);

  /// The wishes of all ranks for step current_step().
  [[nodiscard]] StepFlags step_flags() const { return step_flags_; }

  /// As ShardClient's; the place was checked (snapshot_place.h).
  void OpenSnapshots(SnapshotPlace place) { place_ = std::move(place); }
  [[nodiscard]] Result<SnapshotReport> QuerySnapshot(Step step);
  /// Gives up the snapshot that is under way, if there is one, and forgets its copies.
  void GiveUpSnapshot();
  /// The same for good: no snapshot follows. What wrote the last one, since it may hang and then
  /// must not be joined by another; null: there was none.
  [[nodiscard]] std::unique_ptr<SnapshotWriter> TakeSnapshotWriter();
  [[nodiscard]] Status BeginRestore(Step step, std::span<const float> step_sizes);
  [[nodiscard]] Status RestoreRows(const RowsToRestore& rows);

  /// The last applied step; 0 before the first.
  [[nodiscard]] Step current_step() const { return barrier_.current_step() - 1; }
  /// The ranks that have not pushed step current_step() + 1 yet.
  [[nodiscard]] std::vector<std::uint32_t> MissingRanks() const { return barrier_.MissingRanks(); }
  [[nodiscard]] std::span<const EmbeddingTable> tables() const { return tables_; }
  /// What the tables take.
  [[nodiscard]] std::size_t memory_bytes() const;

 private:
  void ApplyStep();
  [[nodiscard]] Status CheckFlags(const PushRequest& push) const;

  const std::uint32_t rank_count_;
  StepBarrier barrier_;
  StepFlags next_flags_ = 0;           // of the step that is being collected
  StepFlags step_flags_ = 0;           // of the last applied one
  std::optional<Step> restored_step_;  // of BeginRestore
  std::optional<SnapshotPlace> place_;
  std::unique_ptr<ShardSnapshot> snapshot_;  // the last one
  std::unique_ptr<SnapshotWriter> earlier_;  // until there is one
  bool has_tables_ = false;
  std::vector<TableDefinition> definitions_;
  std::vector<EmbeddingTable> tables_;
  std::vector<const SummedGradients*> step_gradients_;  // by table, while a step is applied
};

}  // namespace dcn::ps
