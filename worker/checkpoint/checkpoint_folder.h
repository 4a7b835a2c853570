// The folder of a job's checkpoints: which there are, who may write, which life of the job this is.
//
//   lock                      held by rank 0 of the run that uses the folder
//   epoch                     the highest epoch of the job so far, synced before anyone uses it
//   nonce                     shows servers that they see the same folder
//   (ps/server/snapshot_place.h) step-000000000040-epoch-3/
//     shard-0-of-2.safetensors …   rows (ps/snapshot_file.h)
//     dense.safetensors            the rest (dense_file.h)
//     manifest.json                last: makes it a checkpoint (manifest.h)
//   unusable-step-…              damaged ones, the newest two, for somebody to look at
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/file/file_descriptor.h"
#include "common/status.h"
#include "ps/protocol.h"

namespace dcn::checkpoint {

/// One checkpoint, by its folder's name.
struct CheckpointName {
  ps::Step step = 0;
  std::uint64_t epoch = 0;
  friend bool operator==(const CheckpointName&, const CheckpointName&) = default;
  friend bool operator<(const CheckpointName& a, const CheckpointName& b) {
    return a.step != b.step ? a.step < b.step : a.epoch < b.epoch;
  }

  [[nodiscard]] std::string folder() const;
  [[nodiscard]] static std::optional<CheckpointName> Parse(std::string_view folder);
};

/// The checkpoints in `folder` that have a manifest, or may have one since nobody can look into
/// them now; the newest (highest step, then epoch) first. kNotFound, kInvalidArgument: the folder
/// cannot be read. kUnavailable: not now; this can pass.
[[nodiscard]] Result<std::vector<CheckpointName>> ListCheckpoints(
    const std::filesystem::path& folder);

/// Rank 0's hold on the folder, for as long as its run lasts.
/// Move-only. Thread safety: none, but for the const members.
class CheckpointFolder {
 public:
  /// Makes the folder where it is missing, takes its lock, removes what killed writers have left
  /// beside its files, and writes a new nonce.
  /// kInvalidArgument: the folder cannot be made or written to. kUnavailable: another process has
  /// the lock, and still has it after `patience` (its number is named); or the system has no room
  /// or other trouble that can pass (a full disk, an error of it, too many files).
  [[nodiscard]] static Result<CheckpointFolder> Open(const std::filesystem::path& path,
                                                     std::chrono::milliseconds patience);

  /// Absolute, without links.
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] const std::string& nonce() const { return nonce_; }

  /// Raises the job's epoch above all before it, and above `seen`, the highest that a server has
  /// seen; it is on the disk when this returns. kFailedPrecondition: the file `epoch` makes no
  /// sense, no epoch is left, or `seen` is more than ps::kMaxEpochJump above all before: nothing is
  /// written. kInvalidArgument, kUnavailable: as Open's.
  [[nodiscard]] Result<std::uint64_t> RaiseEpoch(std::uint64_t seen);

  /// Makes the folder of a new checkpoint. kAlreadyExists: something of that name is there, which
  /// is left as it is. Other errors of the system, named.
  [[nodiscard]] Status MakeCheckpoint(const CheckpointName& name) const;
  /// Makes the checkpoint valid: its manifest, with the text given.
  [[nodiscard]] Status Commit(const CheckpointName& name, std::string_view manifest) const;
  /// Removes a checkpoint, its manifest first. Errors of the system, named.
  [[nodiscard]] Status Remove(const CheckpointName& name) const;
  /// Takes a checkpoint that cannot be used out of the list, for somebody to look at: its folder is
  /// called "unusable-…" from then on. Errors of the system, named.
  [[nodiscard]] Status SetAside(const CheckpointName& name) const;
  /// Leaves a checkpoint in its place that cannot be read now, and may be another time: RemoveOld
  /// neither removes it nor counts it among those that are kept. Before the writing begins.
  void PassOver(const CheckpointName& name) { passed_over_.push_back(name); }
  /// Removes all but the newest `keep` checkpoints; what was begun and never committed, by earlier
  /// epochs than `epoch` or before the newest checkpoint of this one; and all but the newest two
  /// that were set aside. What cannot be looked into stays.
  [[nodiscard]] Status RemoveOld(std::size_t keep, std::uint64_t epoch) const;

 private:
  CheckpointFolder(std::filesystem::path path, FileDescriptor lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}

  // The highest epoch of the job so far.
  [[nodiscard]] Result<std::uint64_t> ReadEpoch() const;

  std::filesystem::path path_;
  FileDescriptor lock_;
  std::string nonce_;
  std::vector<CheckpointName> passed_over_;
};

}  // namespace dcn::checkpoint
