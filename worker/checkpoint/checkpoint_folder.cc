#include "worker/checkpoint/checkpoint_folder.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <fcntl.h>
#include <random>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "common/file/atomic_write.h"
#include "common/file/lock_file.h"
#include "common/file/read_file.h"
#include "ps/message.h"
#include "ps/server/snapshot_place.h"
#include "ps/snapshot_file.h"
#include "worker/checkpoint/manifest.h"

namespace dcn::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLockFile = "lock";
constexpr const char* kEpochFile = "epoch";
constexpr std::size_t kMaxEpochBytes = 64;  // of the file

constexpr std::string_view kUnusable = "unusable-";
constexpr std::size_t kUnusableKept = 2;

std::optional<std::uint64_t> ParseNumber(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::string DrawNonce() {
  std::random_device device;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", device(), device(), device(), device());
}

Status FolderError(std::string_view what, const fs::path& path, const std::error_code& error) {
  return FileError(OpenErrorCode(error.value()), what, path, error.value());
}

// What the system refuses for now (no room, an error of the disk, too many open files) it may
// grant later: a reason to start the run again, not to end it for good.
Status MayPass(const Status& status) {
  if (status.code() != StatusCode::kInternal) return status;
  return Error(StatusCode::kUnavailable, "{} (the run can go on once that is over)",
               status.message());
}

// Calls `use` with the name of each entry.
template <typename Use>
Status ForEachEntry(const fs::path& folder, Use use) {
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    use(entry->path().filename().string());
  }
  if (!error) return Status();
  return error == std::errc::no_such_file_or_directory
             ? Error(StatusCode::kNotFound, "{}: no such folder", folder.string())
             : FolderError("cannot list", folder, error);
}

// Names of all checkpoints, committed or not, newest first. prefix: of their folders' names.
Result<std::vector<CheckpointName>> ListAll(const fs::path& folder, std::string_view prefix = "") {
  std::vector<CheckpointName> names;
  DCN_RETURN_IF_ERROR(ForEachEntry(folder, [&](std::string_view entry) {
    if (!entry.starts_with(prefix)) return;
    if (const auto name = CheckpointName::Parse(entry.substr(prefix.size()))) {
      names.push_back(*name);
    }
  }));
  std::sort(names.rbegin(), names.rend());
  return names;
}

enum class HasManifest { kYes, kNo, kUnknown };

HasManifest LookForManifest(const fs::path& folder) {
  std::error_code error;
  const fs::file_type type = fs::status(folder / kManifestFile, error).type();
  if (type == fs::file_type::not_found) return HasManifest::kNo;
  return error ? HasManifest::kUnknown : HasManifest::kYes;
}

// Whether AtomicFile has made this, for a file that lies in the job's folder itself, and was killed
// before it was done.
bool IsLeftover(std::string_view entry) {
  constexpr std::array<std::string_view, 3> kBeginnings = {".epoch.", ".nonce.", ".probe."};
  return entry.ends_with(".tmp") &&
         std::ranges::any_of(kBeginnings, [&](auto begin) { return entry.starts_with(begin); });
}

// REQUIRES: the lock is held. What cannot be removed harms nobody.
Status RemoveLeftovers(const fs::path& folder) {
  std::vector<std::string> leftovers;
  DCN_RETURN_IF_ERROR(ForEachEntry(folder, [&](const std::string& entry) {
    if (IsLeftover(entry)) leftovers.push_back(entry);
  }));
  std::error_code ignored;
  for (const std::string& name : leftovers) fs::remove(folder / name, ignored);
  return Status();
}

// Makes the entries of `folder` durable, where this process may read it: a folder that may only be
// entered cannot be opened for that, and what lies in it is no worse than without.
Status SyncIfReadable(const fs::path& folder) {
  if (::faccessat(AT_FDCWD, folder.c_str(), R_OK, AT_EACCESS) != 0 && errno == EACCES) {
    return Status();
  }
  return SyncFolder(folder);
}

// Each level that is made is on the disk before the next one is.
Status MakeFolders(const fs::path& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) return Status();
  const fs::path parent = path.has_parent_path() ? path.parent_path() : fs::path(".");
  if (parent != path) DCN_RETURN_IF_ERROR(MakeFolders(parent));
  const bool is_made = fs::create_directory(path, error);
  if (error == std::errc::file_exists) error = std::make_error_code(std::errc::not_a_directory);
  if (error) return FolderError("cannot make the folder for checkpoints", path, error);
  return is_made ? SyncIfReadable(parent) : Status();
}

Result<FileDescriptor> TakeLock(const fs::path& path, std::chrono::milliseconds patience) {
  Result<FileDescriptor> lock = LockFile(path, patience);
  if (lock.status().code() == StatusCode::kUnavailable) {
    return Error(StatusCode::kUnavailable,
                 "{} is in use by another run ({}); end it, or name another --checkpoint-dir",
                 path.parent_path().string(), lock.status().message());
  }
  DCN_RETURN_IF_ERROR(lock.status());
  DCN_RETURN_IF_ERROR(NameHolder(*lock, ::getpid()));
  return lock;
}

}  // namespace

std::string CheckpointName::folder() const { return ps::SnapshotFolderName(step, epoch); }

std::optional<CheckpointName> CheckpointName::Parse(std::string_view folder) {
  constexpr std::string_view kStep = "step-";
  constexpr std::string_view kEpoch = "-epoch-";
  const std::size_t middle = folder.find(kEpoch);
  if (!folder.starts_with(kStep) || middle == std::string_view::npos) return std::nullopt;
  const auto step = ParseNumber(folder.substr(kStep.size(), middle - kStep.size()));
  const auto epoch = ParseNumber(folder.substr(middle + kEpoch.size()));
  if (!step || !epoch) return std::nullopt;
  const CheckpointName name = {*step, *epoch};
  if (name.folder() != folder) return std::nullopt;
  return name;
}

Result<std::vector<CheckpointName>> ListCheckpoints(const fs::path& folder) {
  Result<std::vector<CheckpointName>> names = ListAll(folder);
  DCN_RETURN_IF_ERROR(MayPass(names.status()));
  // Not knowing is not knowing that there is none.
  std::erase_if(*names, [&](const CheckpointName& name) {
    return LookForManifest(folder / name.folder()) == HasManifest::kNo;
  });
  return names;
}

Result<CheckpointFolder> CheckpointFolder::Open(const fs::path& path,
                                                std::chrono::milliseconds patience) {
  DCN_RETURN_IF_ERROR(MayPass(MakeFolders(path)));
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  if (error) return MayPass(FolderError("cannot find the folder for checkpoints", path, error));
  // Who made it may have been killed before.
  DCN_RETURN_IF_ERROR(MayPass(SyncIfReadable(real.parent_path())));
  Result<FileDescriptor> lock = TakeLock(real / kLockFile, patience);
  DCN_RETURN_IF_ERROR(MayPass(lock.status()));
  DCN_RETURN_IF_ERROR(MayPass(RemoveLeftovers(real)));
  CheckpointFolder folder(real, *std::move(lock));
  folder.nonce_ = DrawNonce();
  DCN_RETURN_IF_ERROR(MayPass(WriteFileAtomically(real / ps::kNonceFile, folder.nonce_)));
  return folder;
}

Result<std::uint64_t> CheckpointFolder::ReadEpoch() const {
  const fs::path file = path_ / kEpochFile;
  std::uint64_t last = 0;
  const Result<std::string> present = ReadFile(file, kMaxEpochBytes);
  const StatusCode code = present.status().code();
  const bool is_there = present.ok() || code == StatusCode::kOutOfRange;
  if (is_there) {
    const auto number = present.ok() ? ParseNumber(*present) : std::nullopt;
    if (!number) {
      return Error(StatusCode::kFailedPrecondition,
                   "{}: no number; write the highest epoch that the folders there name into it",
                   file.string());
    }
    last = *number;
  } else if (code == StatusCode::kDataLoss) {  // the disk's error
    return MayPass(Status(StatusCode::kInternal, present.status().message()));
  } else if (code != StatusCode::kNotFound) {
    return MayPass(present.status());
  }
  // Should the file be lost, the folders still say which epochs there were.
  const Result<std::vector<CheckpointName>> all = ListAll(path_);
  DCN_RETURN_IF_ERROR(MayPass(all.status()));
  for (const CheckpointName& name : *all) last = std::max(last, name.epoch);
  return last;
}

Result<std::uint64_t> CheckpointFolder::RaiseEpoch(std::uint64_t seen) {
  const fs::path file = path_ / kEpochFile;
  DCN_ASSIGN_OR_RETURN(const std::uint64_t own, ReadEpoch());
  if (seen > own && seen - own > ps::kMaxEpochJump) {
    return Error(StatusCode::kFailedPrecondition,
                 "a server has seen epoch {}, too far above {}, the highest of {}: it was told a "
                 "wrong one; start the servers again",
                 seen, own, file.string());
  }
  const std::uint64_t last = std::max(own, seen);
  if (last >= ps::kMaxEpoch) {
    return Error(StatusCode::kFailedPrecondition,
                 "{}: no epoch comes after {}{}; write the highest one that there was into it",
                 file.string(), last, last == seen ? ", which a server has seen" : "");
  }
  const std::uint64_t epoch = last + 1;
  DCN_RETURN_IF_ERROR(MayPass(WriteFileAtomically(file, std::to_string(epoch))));
  return epoch;
}

Status CheckpointFolder::MakeCheckpoint(const CheckpointName& name) const {
  const fs::path folder = path_ / name.folder();
  std::error_code error;
  if (fs::create_directory(folder, error)) return Status();
  if (error && error != std::errc::file_exists) {
    return FolderError("cannot make the folder", folder, error);
  }
  return Error(
      StatusCode::kAlreadyExists,
      "cannot make the folder {}: it is there already, with another's files maybe; move it "
      "away",
      folder.string());
}

Status CheckpointFolder::Commit(const CheckpointName& name, std::string_view manifest) const {
  // The folder's own entry comes first: a manifest that is there is there for good.
  DCN_RETURN_IF_ERROR(SyncFolder(path_));
  return WriteFileAtomically(path_ / name.folder() / kManifestFile, manifest);
}

Status CheckpointFolder::Remove(const CheckpointName& name) const {
  const fs::path folder = path_ / name.folder();
  std::error_code error;
  fs::remove(folder / kManifestFile, error);
  if (!error) fs::remove_all(folder, error);
  return error ? FolderError("cannot remove", folder, error) : Status();
}

Status CheckpointFolder::SetAside(const CheckpointName& name) const {
  const fs::path folder = path_ / name.folder();
  const fs::path aside = path_ / (std::string(kUnusable) + name.folder());
  std::error_code error;
  fs::remove_all(aside, error);
  fs::rename(folder, aside, error);
  return error ? FolderError("cannot rename", folder, error) : Status();
}

Status CheckpointFolder::RemoveOld(std::size_t keep, std::uint64_t epoch) const {
  DCN_ASSIGN_OR_RETURN(const std::vector<CheckpointName> all, ListAll(path_));
  DCN_ASSIGN_OR_RETURN(const std::vector<CheckpointName> aside, ListAll(path_, kUnusable));
  Status first;
  const auto note = [&first](const Status& status) {
    if (first.ok()) first = status;
  };
  std::size_t kept = 0;
  bool is_before_newest = false;  // of this epoch's checkpoints; they come newest first
  for (const CheckpointName& name : all) {
    if (std::ranges::find(passed_over_, name) != passed_over_.end()) continue;
    const HasManifest has = LookForManifest(path_ / name.folder());
    if (has == HasManifest::kYes) {
      is_before_newest |= name.epoch == epoch;
      if (kept++ >= keep) note(Remove(name));
    } else if (has == HasManifest::kNo) {
      // Nobody writes there: a shard gives up what it writes when it begins a later one.
      const bool is_abandoned = name.epoch == epoch && is_before_newest;
      if (name.epoch < epoch || is_abandoned) note(Remove(name));
    }
  }
  for (std::size_t i = kUnusableKept; i < aside.size(); ++i) {
    const fs::path folder = path_ / (std::string(kUnusable) + aside[i].folder());
    std::error_code error;
    fs::remove_all(folder, error);
    if (error) note(FolderError("cannot remove", folder, error));
  }
  return first;
}

}  // namespace dcn::checkpoint
