// Writes one shard's snapshot to its file, on a thread of its own, while the shard goes on.
//
// The disk may hang: the thread shares what it works on (Job, in snapshot_writer.cc), and is left
// behind when it does not end.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/file/checked_tensors.h"
#include "common/file/disk_thread.h"
#include "common/status.h"
#include "ps/protocol.h"
#include "ps/table/table_snapshot.h"

namespace dcn::ps {

/// One file. Thread safety: calls come from one thread, the shard's.
class SnapshotWriter {
 public:
  /// path: without links but for its last part, where a link is replaced; what has become one since
  /// fails the file. rows: by table. metadata: of the file. The file's folder is there.
  SnapshotWriter(std::filesystem::path path, std::vector<TableDefinition> tables,
                 std::vector<std::size_t> rows, std::map<std::string, std::string> metadata);
  /// GiveUp and AwaitEnd; where the thread has not ended by then, it is left behind.
  ~SnapshotWriter();
  SnapshotWriter(const SnapshotWriter&) = delete;
  SnapshotWriter& operator=(const SnapshotWriter&) = delete;

  /// Rows to be written, as many as `rows` said in all; dropped once the writing has failed or was
  /// given up.
  void Add(RowCopies copies);
  /// Of copies that wait to be written.
  [[nodiscard]] std::size_t queued_bytes() const;

  /// kUnavailable: it is not done; the message is wait_text(). Else the file's record, or why there
  /// is none.
  [[nodiscard]] Result<TensorFileRecord> outcome() const;
  /// What its disk has not answered, and for how long; empty: nothing.
  [[nodiscard]] std::string wait_text() const { return thread_.wait_text(); }

  /// Gives up what is not done, and drops the copies that wait. Once the thread has ended, no file
  /// is left, but for one that was being committed.
  void GiveUp();
  /// Gives up, and waits for the end of the thread until a second after the first GiveUp. False: it
  /// has not ended, its disk hangs.
  [[nodiscard]] bool AwaitEnd();

 private:
  class Job;  // what the thread works on

  const std::shared_ptr<Job> job_;
  std::optional<std::chrono::steady_clock::time_point> given_up_at_;
  const DiskThread thread_;
};

}  // namespace dcn::ps
