#include "ps/server/shard.h"

#include <algorithm>
#include <limits>

#include "common/floating_point.h"
#include "ps/server/request_check.h"
#include "ps/table/table_definition.h"

namespace dcn::ps {
namespace {

// Tables keep a row's last step in 32 bits.
constexpr Step kMaxStep = std::numeric_limits<std::uint32_t>::max();

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

Shard::Shard(std::uint32_t ranks) : barrier_(ranks, 1) {}

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
  DCN_RETURN_IF_ERROR(barrier_.Add(push, definitions_));
  if (barrier_.is_complete()) ApplyStep();
  return Status();
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
