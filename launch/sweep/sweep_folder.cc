#include "launch/sweep/sweep_folder.h"

#include <cerrno>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "common/file/lock_file.h"
#include "launch/sweep/sweep_record.h"

namespace dcn::sweep {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLockFile = ".lock";

Status CheckHoldsSweepOrNothing(const fs::path& path) {
  if (fs::exists(path / kSweepRecordFile)) return Status();
  for (const fs::directory_entry& entry : fs::directory_iterator(path)) {
    const fs::path name = entry.path().filename();
    if (name != kLockFile && name != "cache") {
      return Error(StatusCode::kAlreadyExists,
                   "the output folder {} is not empty and holds no sweep (it has {}); choose a new "
                   "or an empty folder",
                   path.string(), name.string());
    }
  }
  return Status();
}

}  // namespace

SweepFolder::SweepFolder(fs::path path, FileDescriptor lock)
    : path_(std::move(path)), lock_(std::move(lock)) {}

Result<SweepFolder> SweepFolder::Open(const fs::path& path, std::chrono::milliseconds patience) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error || !fs::is_directory(path)) {
    return FileError(StatusCode::kInvalidArgument, "cannot make the output folder", path,
                     error ? error.value() : ENOTDIR);
  }
  DCN_RETURN_IF_ERROR(CheckHoldsSweepOrNothing(path));
  Result<FileDescriptor> lock = LockFile(path / kLockFile, patience);
  if (!lock.ok() && lock.status().code() == StatusCode::kUnavailable) {
    return Error(StatusCode::kAlreadyExists,
                 "another dcn_sweep, {}, works in the output folder {}; wait for it, stop it, or "
                 "choose another --output",
                 lock.status().message(), path.string());
  }
  if (!lock.ok()) return lock.status();
  DCN_RETURN_IF_ERROR(NameHolder(*lock, ::getpid()));
  return SweepFolder(path, *std::move(lock));
}

void SweepFolder::RemoveIfUnused() {
  std::error_code error;
  if (fs::exists(path_ / kSweepRecordFile, error)) return;
  fs::remove(cache(), error);  // only when it is empty
  fs::remove(path_ / kLockFile, error);
  fs::remove(path_, error);  // likewise
}

}  // namespace dcn::sweep
