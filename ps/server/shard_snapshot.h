// A snapshot of one shard on its way to the disk: copies the rows of all tables, a part at each of
// the shard's requests, and hands them to the thread that writes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "common/status.h"
#include "ps/protocol.h"
#include "ps/server/snapshot_writer.h"
#include "ps/table/embedding_table.h"

namespace dcn::ps {

/// Thread safety: none; confined to the shard's thread.
class ShardSnapshot {
 public:
  /// Begins the snapshot of `tables` as they stand now, after `step`; none of them is in one.
  /// earlier: the writer of the snapshot before, which is given up; null: there was none. While it
  /// hangs, nothing is begun: this snapshot has failed.
  ShardSnapshot(const SnapshotPlace& place, Step step, std::span<EmbeddingTable> tables,
                std::unique_ptr<SnapshotWriter> earlier);

  /// Copies some more rows, unless the writer has enough to do. Call at each request of the shard.
  void Advance(std::span<EmbeddingTable> tables);

  [[nodiscard]] Step step() const { return step_; }
  [[nodiscard]] bool is_copied() const { return is_copied_; }
  /// How far it is.
  [[nodiscard]] SnapshotReport report() const;

  /// Gives up what is not written. REQUIRES: the tables are in no snapshot any more.
  void GiveUp() { writer_->GiveUp(); }
  /// The writer, for the next snapshot; nothing else may be called afterwards.
  [[nodiscard]] std::unique_ptr<SnapshotWriter> TakeWriter() { return std::move(writer_); }

 private:
  const Step step_;
  const std::size_t piece_rows_;  // that Advance copies at a time
  bool is_copied_ = false;        // all rows of all tables
  double stall_seconds_ = 0;      // that copying took from the shard
  std::size_t rows_ = 0;
  Status refusal_;  // why nothing was begun
  std::unique_ptr<SnapshotWriter> writer_;
};

}  // namespace dcn::ps
