#include "ps/server/shard_snapshot.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <utility>

#include "ps/snapshot_file.h"

namespace dcn::ps {
namespace {

// Copies that wait for the disk. Rows that are about to change are copied all the same.
constexpr std::size_t kMaxQueuedBytes = std::size_t{64} << 20;
// A request copies so many floats, or this part of the shard: every snapshot is whole after so many
// requests, and none of them takes long.
constexpr std::size_t kPieceFloats = std::size_t{2} << 20;
constexpr std::size_t kPieces = 32;

std::vector<TableDefinition> Definitions(std::span<EmbeddingTable> tables) {
  std::vector<TableDefinition> definitions;
  for (const EmbeddingTable& table : tables) definitions.push_back(table.definition());
  return definitions;
}

std::vector<std::size_t> RowCounts(std::span<EmbeddingTable> tables) {
  std::vector<std::size_t> rows;
  for (const EmbeddingTable& table : tables) rows.push_back(table.row_count());
  return rows;
}

std::size_t PieceRows(std::span<EmbeddingTable> tables) {
  std::size_t rows = 0;
  std::size_t widest = 1;
  for (const EmbeddingTable& table : tables) {
    rows += table.row_count();
    widest = std::max(widest, table.record_size());
  }
  return std::max({std::size_t{1}, kPieceFloats / widest, rows / kPieces});
}

std::filesystem::path FilePath(const SnapshotPlace& place, Step step) {
  return std::filesystem::path(place.folder) / SnapshotFolderName(step, place.epoch) /
         SnapshotFileName(place.shard, place.shards);
}

}  // namespace

ShardSnapshot::ShardSnapshot(const SnapshotPlace& place, Step step,
                             std::span<EmbeddingTable> tables,
                             std::unique_ptr<SnapshotWriter> earlier)
    : step_(step), piece_rows_(PieceRows(tables)) {
  const Stopwatch watch;
  if (earlier != nullptr && !earlier->AwaitEnd()) {
    refusal_ = Error(StatusCode::kUnavailable, "not begun, an earlier one hangs: {}",
                     earlier->wait_text());
    writer_ = std::move(earlier);
    is_copied_ = true;
    stall_seconds_ = watch.seconds();
    return;
  }
  writer_ = std::make_unique<SnapshotWriter>(
      FilePath(place, step), Definitions(tables), RowCounts(tables),
      std::map<std::string, std::string>{{"format", "dcn-shard-1"},
                                         {"step", std::to_string(step)},
                                         {"epoch", std::to_string(place.epoch)},
                                         {"shard", std::to_string(place.shard)},
                                         {"shards", std::to_string(place.shards)}});
  for (std::size_t t = 0; t < tables.size(); ++t) {
    tables[t].BeginSnapshot(static_cast<TableId>(t));
    rows_ += tables[t].row_count();
  }
  stall_seconds_ = watch.seconds();
  Advance(tables);
}

void ShardSnapshot::Advance(std::span<EmbeddingTable> tables) {
  if (is_copied_) return;
  const Stopwatch watch;
  std::size_t rows = writer_->queued_bytes() < kMaxQueuedBytes ? piece_rows_ : 0;
  is_copied_ = true;
  for (EmbeddingTable& table : tables) {
    TableSnapshot* const snapshot = table.snapshot();
    if (snapshot == nullptr) continue;
    const std::size_t before = snapshot->missing();
    table.CopyRows(rows);
    rows -= before - snapshot->missing();
    for (RowCopies& copies : snapshot->TakeCopies()) writer_->Add(std::move(copies));
    if (snapshot->is_complete()) {
      table.EndSnapshot();
    } else {
      is_copied_ = false;
    }
  }
  stall_seconds_ += watch.seconds();
}

SnapshotReport ShardSnapshot::report() const {
  SnapshotReport report = {.state = SnapshotReport::State::kWriting,
                           .step = step_,
                           .rows = rows_,
                           .stall_seconds = stall_seconds_,
                           .text = {}};
  if (!refusal_.ok()) {
    report.state = SnapshotReport::State::kFailed;
    report.text = refusal_.message();
    return report;
  }
  const Result<TensorFileRecord> outcome = writer_->outcome();
  report.text = outcome.ok() ? outcome->ToJson().dump() : outcome.status().message();
  if (outcome.ok()) {
    report.state = SnapshotReport::State::kDone;
  } else if (outcome.status().code() != StatusCode::kUnavailable) {
    report.state = SnapshotReport::State::kFailed;
  }
  return report;
}

}  // namespace dcn::ps
