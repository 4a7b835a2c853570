// Whether a server may write a job's checkpoints where the job wants them.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include "common/file/disk_thread.h"
#include "common/status.h"
#include "ps/protocol.h"

namespace dcn::ps {

/// The file in a job's folder that shows a server the same folder as the worker sees: it holds
/// SnapshotPlace::nonce.
inline constexpr const char* kNonceFile = "nonce";

/// root: below which this server may write; empty: nowhere. Checks that the folder lies there, is
/// the worker's own (by its nonce) and can be written to.
/// Returns the place by its real path, to be used from then on: links may change. Whoever writes
/// there asks CheckHasNoLinks first, since a folder may become one.
/// kInvalidArgument: names the folder and what to do; another folder of the same name, too.
[[nodiscard]] Result<SnapshotPlace> CheckSnapshotPlace(const std::filesystem::path& root,
                                                       SnapshotPlace place);

/// CheckSnapshotPlace for callers that a disk must not hold up.
/// Thread safety: none.
class SnapshotPlaceCheck {
 public:
  /// patience: how long the disk may take.
  explicit SnapshotPlaceCheck(std::chrono::milliseconds patience = std::chrono::seconds(5))
      : patience_(patience) {}

  /// As CheckSnapshotPlace. kUnavailable: the disk does not answer; names the folder. As long as it
  /// does not, later calls say so at once.
  [[nodiscard]] Result<SnapshotPlace> Check(const std::filesystem::path& root,
                                            const SnapshotPlace& place);

 private:
  const std::chrono::milliseconds patience_;
  std::unique_ptr<DiskThread> thread_;  // of the last call
};

/// Whether `folder`, a real path once, still is one: neither it nor a folder above it is a link.
/// kInvalidArgument: names the link's target, or the folder is not there or may not be entered.
[[nodiscard]] Status CheckHasNoLinks(const std::filesystem::path& folder);

}  // namespace dcn::ps
