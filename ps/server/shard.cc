#include "ps/server/shard.h"

#include <algorithm>
#include <cstring>

#include "common/floating_point.h"
#include "ps/server/request_check.h"
#include "ps/table/table_definition.h"

namespace dcn::ps {
namespace {

// Whether every one of these rows is there, just so.
bool IsRestored(const EmbeddingTable& table, const RowsToRestore& rows) {
  const std::size_t size = table.record_size();
  for (std::size_t i = 0; i < rows.keys.size(); ++i) {
    const auto row = table.Find(rows.keys[i]);
    if (!row || row->last_step != rows.last_steps[i]) return false;
    // Its weights and its state lie one behind the other.
    if (std::memcmp(row->weights.data(), rows.records.data() + i * size, size * sizeof(float)) != 0)
      return false;
  }
  return !rows.keys.empty();
}

Status CheckSameTables(std::span<const TableDefinition> given,
                       std::span<const TableDefinition> existing) {
  for (std::size_t i = 0; i < std::min(given.size(), existing.size()); ++i) {
    if (const auto difference = FirstDifference(given[i], existing[i])) {
      return Error(StatusCode::kAlreadyExists,
                   "table '{}' exists with another definition ({}); all ranks must define the same "
                   "tables",
                   existing[i].name, *difference);
    }
  }
  if (given.size() == existing.size()) return Status();
  return Error(StatusCode::kAlreadyExists,
               "{} tables were given where {} exist; all ranks must define the same tables",
               given.size(), existing.size());
}

}  // namespace

Shard::Shard(std::uint32_t ranks, std::unique_ptr<SnapshotWriter> earlier)
    : rank_count_(ranks), barrier_(ranks, 1), earlier_(std::move(earlier)) {}

Status Shard::CreateTables(std::span<const TableDefinition> tables) {
  FlushDenormalsToZero();
  if (has_tables_) return CheckSameTables(tables, definitions_);
  for (std::size_t i = 0; i < tables.size(); ++i) {
    DCN_RETURN_IF_ERROR(ValidateTable(tables[i]));
    for (const TableDefinition& earlier : tables.first(i)) {
      if (earlier.name != tables[i].name) continue;
      return Error(StatusCode::kInvalidArgument, "table '{}' stands twice in the list",
                   earlier.name);
    }
  }
  definitions_.assign(tables.begin(), tables.end());
  for (const TableDefinition& definition : definitions_) tables_.emplace_back(definition);
  step_gradients_.resize(tables_.size());
  has_tables_ = true;
  return Status();
}

Status Shard::Push(const PushRequest& push) {
  FlushDenormalsToZero();
  if (!has_tables_) {
    return Error(StatusCode::kOutOfRange,
                 "push of rank {}, step {}: this shard has no tables; create them first", push.rank,
                 push.step);
  }
  if (push.step > kMaxStep) {
    return Error(StatusCode::kOutOfRange, "push of rank {}: step {} is above the limit of {}",
                 push.rank, push.step, kMaxStep);
  }
  DCN_RETURN_IF_ERROR(CheckPush(push, definitions_));
  DCN_RETURN_IF_ERROR(CheckFlags(push));
  DCN_RETURN_IF_ERROR(barrier_.Add(push, definitions_));
  next_flags_ |= push.flags;
  if (barrier_.is_complete()) ApplyStep();
  return Status();
}

Status Shard::CheckFlags(const PushRequest& push) const {
  if ((push.flags & ~kKnownStepFlags) != 0) {
    return Error(StatusCode::kInvalidArgument, "push of rank {}, step {}: unknown flags {:#x}",
                 push.rank, push.step, push.flags);
  }
  if ((push.flags & kTakesSnapshot) == 0 || place_) return Status();
  return Error(StatusCode::kInvalidArgument,
               "push of rank {}, step {}: a snapshot is wanted, and no place for it was named",
               push.rank, push.step);
}

void Shard::ApplyStep() {
  std::ranges::fill(step_gradients_, nullptr);
  const float learning_rate = barrier_.learning_rate();
  for (const SummedGradients& gradients : barrier_.Take()) {
    step_gradients_[gradients.table] = &gradients;
  }
  // Every table goes through the step: rows without a gradient may move too.
  for (std::size_t i = 0; i < tables_.size(); ++i) {
    const SummedGradients* gradients = step_gradients_[i];
    if (gradients != nullptr) {
      tables_[i].ApplyStep(learning_rate, gradients->keys, gradients->values);
    } else {
      tables_[i].ApplyStep(learning_rate, {}, {});
    }
  }
  step_flags_ = std::exchange(next_flags_, 0);
  if ((step_flags_ & kTakesSnapshot) != 0) {
    // Of one that was not waited for, too.
    std::unique_ptr<SnapshotWriter> earlier = TakeSnapshotWriter();
    snapshot_ =
        std::make_unique<ShardSnapshot>(*place_, current_step(), tables_, std::move(earlier));
  } else if (snapshot_ != nullptr) {
    snapshot_->Advance(tables_);
  }
}

Result<SnapshotReport> Shard::QuerySnapshot(Step step) {
  if (snapshot_ == nullptr || snapshot_->step() != step) {
    return Error(StatusCode::kOutOfRange, "there is no snapshot of step {}", step);
  }
  snapshot_->Advance(tables_);
  return snapshot_->report();
}

void Shard::GiveUpSnapshot() {
  for (EmbeddingTable& table : tables_) table.EndSnapshot();
  if (snapshot_ != nullptr) snapshot_->GiveUp();
}

std::unique_ptr<SnapshotWriter> Shard::TakeSnapshotWriter() {
  GiveUpSnapshot();
  if (snapshot_ == nullptr) return std::move(earlier_);
  std::unique_ptr<SnapshotWriter> writer = snapshot_->TakeWriter();
  snapshot_.reset();
  return writer;
}

Status Shard::BeginRestore(Step step, std::span<const float> step_sizes) {
  FlushDenormalsToZero();
  if (restored_step_ == step && current_step() == step) return Status();  // repeated
  const auto has_rows = [](const EmbeddingTable& table) { return table.row_count() > 0; };
  if (!has_tables_ || current_step() != 0 || std::ranges::any_of(tables_, has_rows)) {
    return Error(StatusCode::kOutOfRange,
                 "restoring step {}: the shard {}; it must have tables without rows", step,
                 has_tables_ ? "has rows or has gone through steps" : "has no tables");
  }
  DCN_RETURN_IF_ERROR(CheckStepSizes(step, step_sizes, definitions_));
  for (EmbeddingTable& table : tables_) table.RestoreStep(step, step_sizes);
  barrier_ = StepBarrier(rank_count_, step + 1);
  restored_step_ = step;
  return Status();
}

Status Shard::RestoreRows(const RowsToRestore& rows) {
  FlushDenormalsToZero();
  DCN_RETURN_IF_ERROR(CheckRestore(rows, current_step(), definitions_));
  EmbeddingTable& table = tables_[rows.table];
  if (IsRestored(table, rows)) return Status();  // repeated, its answer having been lost
  for (const Key key : rows.keys) {
    if (!table.Find(key)) continue;
    return Error(StatusCode::kInvalidArgument, "restoring table '{}': row {} is there already",
                 table.definition().name, key);
  }
  table.RestoreRows(rows.keys, rows.last_steps, rows.records);
  return Status();
}

Status Shard::CheckPull(std::span<const RowsToPull> pull) const {
  return ps::CheckPull(pull, definitions_);
}

Status Shard::Pull(std::span<const RowsToPull> pull) {
  FlushDenormalsToZero();
  DCN_RETURN_IF_ERROR(CheckPull(pull));
  for (const RowsToPull& rows : pull) tables_[rows.table].Read(rows.keys, rows.values);
  return Status();
}

Status Shard::Assign(TableId table, std::span<const Key> keys, std::span<const float> values) {
  FlushDenormalsToZero();
  DCN_RETURN_IF_ERROR(CheckAssign(table, keys, values, definitions_));
  tables_[table].Assign(keys, values);
  return Status();
}

std::size_t Shard::memory_bytes() const {
  std::size_t bytes = 0;
  for (const EmbeddingTable& table : tables_) bytes += table.memory_bytes();
  return bytes;
}

}  // namespace dcn::ps
