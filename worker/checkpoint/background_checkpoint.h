// Rank 0's part of one checkpoint on the disk, written beside training on a thread that may hang
// with its disk.
//
//   from the start   makes the folder
//   WriteDense       dense.safetensors
//   AddShards        manifest.json: the checkpoint is whole; then what is too old goes
// What fails or is given up removes its folder, as far as the disk lets it.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "common/file/checked_tensors.h"
#include "common/file/disk_thread.h"
#include "common/status.h"
#include "ps/protocol.h"
#include "worker/checkpoint/checkpoint_folder.h"
#include "worker/checkpoint/dense_file.h"
#include "worker/checkpoint/manifest.h"
#include "worker/model/model_spec.h"

namespace dcn::checkpoint {

/// Thread safety: calls come from one thread.
class BackgroundCheckpoint {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  /// What rank 0 knows after the checkpoint's step.
  struct Content {
    model::ModelSpec spec;
    ps::OptimizerOptions optimizer;
    DensePart dense;
    Manifest manifest;  // without the files
  };

  /// keep: checkpoints that stay once this one is whole.
  BackgroundCheckpoint(std::shared_ptr<const CheckpointFolder> folder, const CheckpointName& name,
                       std::size_t keep);
  /// Gives up what is not done; a thread that has not ended a second after the first GiveUp is left
  /// behind.
  ~BackgroundCheckpoint();
  BackgroundCheckpoint(const BackgroundCheckpoint&) = delete;
  BackgroundCheckpoint& operator=(const BackgroundCheckpoint&) = delete;

  [[nodiscard]] const CheckpointName& name() const { return name_; }

  /// Waits until the folder is there. Else: why it cannot be made; kDeadlineExceeded: what the disk
  /// has not answered.
  [[nodiscard]] Status AwaitFolder(TimePoint deadline);
  /// After AwaitFolder, once.
  void WriteDense(Content content);
  /// Once the files of all shards are there: their records, by name.
  void AddShards(std::map<std::string, TensorFileRecord> files);

  /// kUnavailable: under way. OK: the checkpoint is whole. Else why it is none.
  [[nodiscard]] Status outcome() const;
  /// False: it is too late for that, the checkpoint is whole.
  [[nodiscard]] bool GiveUp();

  /// Whether the thread has ended, by the deadline.
  [[nodiscard]] bool AwaitEnd(TimePoint deadline) const { return thread_.AwaitEnd(deadline); }
  [[nodiscard]] bool has_ended() const { return thread_.has_ended(); }
  /// What its disk has not answered, and for how long; empty: nothing.
  [[nodiscard]] std::string wait_text() const { return thread_.wait_text(); }
  /// Why checkpoints that are too old stay. OK: they are gone, or it has not come to that.
  [[nodiscard]] Status clearing() const;

 private:
  class Job;  // what the thread works on

  const CheckpointName name_;
  const std::shared_ptr<Job> job_;
  std::optional<TimePoint> given_up_at_;
  const DiskThread thread_;
};

}  // namespace dcn::checkpoint
