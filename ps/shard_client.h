// What the trainer sees of one shard, be it in this process or on another host.
//
// A request is started and finished in two calls, so that a remote shard works while the trainer
// does something else; a local shard does it all in the first. One request at a time.
#pragma once

#include <chrono>
#include <span>

#include "common/status.h"
#include "ps/protocol.h"

namespace dcn::ps {

/// One shard of the job's tables.
/// Thread safety: calls come from one thread at a time.
class ShardClient {
 public:
  virtual ~ShardClient() = default;

  /// Creates the job's tables; the position in the list is the TableId. Repeating the same list is
  /// no change. kAlreadyExists: a table of that name differs, or the list does (named).
  [[nodiscard]] virtual Status CreateTables(std::span<const TableDefinition> tables) = 0;

  /// Starts: applies `push` (once every rank has pushed that step), then reads `pull` as of that
  /// step. What the requests point to must stay alive and untouched until Finish() has returned.
  /// Errors come from Finish().
  virtual void StartPushPull(const PushRequest& push, std::span<const RowsToPull> pull) = 0;

  /// Starts reading rows as of the last applied step. Reading creates no row.
  virtual void StartPull(std::span<const RowsToPull> pull) = 0;

  /// Waits for the request that was started; then the pulled values are in place.
  /// These change nothing:
  /// kAlreadyExists: this rank has pushed this step, which waits for other ranks.
  /// kOutOfRange: a step other than the next, or a table that does not exist.
  /// kInvalidArgument: sizes that do not fit, a gradient that is not finite (table and key named).
  /// These leave open whether the push was applied:
  /// kUnavailable / kDeadlineExceeded (remote shards): names server, shard and request.
  [[nodiscard]] virtual Status Finish() = 0;

  /// When the answer to the last request was there, Finish() having returned OK; the clock's epoch
  /// where that is not known (requests that are done when they were started).
  [[nodiscard]] virtual std::chrono::steady_clock::time_point answered_at() const { return {}; }

  /// The wishes of all ranks for the step of the last push-pull, Finish() having returned OK.
  [[nodiscard]] virtual StepFlags step_flags() const = 0;

  /// Sets rows' values, with a fresh optimizer state, as of the last applied step.
  /// values: [keys.size(), dimension]. For tests, imports and restores.
  [[nodiscard]] virtual Status Assign(TableId table, std::span<const Key> keys,
                                      std::span<const float> values) = 0;

  // --- checkpoints; not while a request is under way ---------------------------------------------

  /// Says where snapshots go, before a step with kTakesSnapshot.
  /// kInvalidArgument: the shard's server cannot write there, or may not.
  [[nodiscard]] virtual Status OpenSnapshots(const SnapshotPlace& place) = 0;

  /// How far the snapshot of `step` is; asking helps it on. kOutOfRange: there is none.
  [[nodiscard]] virtual Result<SnapshotReport> QuerySnapshot(Step step) = 0;

  /// Takes a shard without rows to step `step`. step_sizes: [step], of dense-form Adam; may be
  /// empty with other optimizers. kOutOfRange: it has rows, or has gone through a step. Both
  /// may be repeated: the same again is no change.
  [[nodiscard]] virtual Status BeginRestore(Step step, std::span<const float> step_sizes) = 0;

  /// Creates rows as a snapshot had them. kInvalidArgument: sizes that do not fit, a row that is
  /// there, or that stands twice. kOutOfRange: a last step above the shard's step.
  [[nodiscard]] virtual Status RestoreRows(const RowsToRestore& rows) = 0;
};

}  // namespace dcn::ps
