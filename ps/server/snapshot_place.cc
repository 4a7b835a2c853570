#include "ps/server/snapshot_place.h"

#include <algorithm>
#include <system_error>

#include "common/file/atomic_write.h"
#include "common/file/file_descriptor.h"
#include "common/file/read_file.h"

namespace dcn::ps {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxNonceBytes = 4096;

bool IsWithin(const fs::path& folder, const fs::path& root) {
  const auto [end_of_root, ignored] =
      std::mismatch(root.begin(), root.end(), folder.begin(), folder.end());
  return end_of_root == root.end();
}

}  // namespace

Result<SnapshotPlace> CheckSnapshotPlace(const fs::path& root, SnapshotPlace place) {
  if (root.empty()) {
    return Error(
        StatusCode::kInvalidArgument,
        "this server writes no checkpoints: start it with --checkpoint-root, a folder that "
        "{} lies in",
        place.folder);
  }
  std::error_code error;
  const fs::path folder = fs::canonical(place.folder, error);
  if (error) {
    return Error(StatusCode::kInvalidArgument,
                 "the folder for checkpoints, {}, is not there for this server ({}): it must be on "
                 "a file system that workers and servers share",
                 place.folder, error.message());
  }
  const fs::path real_root = fs::canonical(root, error);
  if (error || !IsWithin(folder, real_root)) {
    return Error(StatusCode::kInvalidArgument,
                 "the folder for checkpoints, {}, does not lie in this server's --checkpoint-root "
                 "{}",
                 place.folder, root.string());
  }
  const Result<std::string> nonce = ReadFile(folder / kNonceFile, kMaxNonceBytes);
  if (!nonce.ok() || *nonce != place.nonce) {
    return Error(StatusCode::kInvalidArgument,
                 "the folder for checkpoints, {}, is another one for this server than for the "
                 "workers ({}): it must be on a file system that they share",
                 place.folder, nonce.ok() ? "its nonce differs" : nonce.status().message());
  }
  // Dropped again at once.
  if (const auto probe = AtomicFile::Create(folder / "probe"); !probe.ok()) return probe.status();
  place.folder = folder.string();
  return place;
}

Result<SnapshotPlace> SnapshotPlaceCheck::Check(const fs::path& root, const SnapshotPlace& place) {
  if (thread_ == nullptr || thread_->has_ended()) {
    // The thread's own, should it be left behind.
    const auto result = std::make_shared<Result<SnapshotPlace>>(
        Status(StatusCode::kInternal, "the check of a folder for checkpoints has not ended"));
    thread_ = std::make_unique<DiskThread>(
        "dcn-place-check",
        [root, place, result](DiskWait& wait) {
          wait.Begin(place.folder);
          *result = CheckSnapshotPlace(root, place);
        },
        [result](std::string_view what) {
          *result = Status(StatusCode::kInternal, std::string(what));
        });
    if (thread_->AwaitEnd(std::chrono::steady_clock::now() + patience_)) return std::move(*result);
  }
  return Error(StatusCode::kUnavailable,
               "the folder for checkpoints, {}, cannot be checked: {}; the run can go on once that "
               "is over",
               place.folder, thread_->wait_text());
}

Status CheckHasNoLinks(const fs::path& folder) {
  std::error_code error;
  const fs::path real = fs::canonical(folder, error);
  if (error) {
    return FileError(OpenErrorCode(error.value()), "cannot find the folder", folder, error.value());
  }
  if (real == folder) return Status();
  return Error(StatusCode::kInvalidArgument,
               "the folder {} has become a link, to {}: nothing is written through it",
               folder.string(), real.string());
}

}  // namespace dcn::ps
