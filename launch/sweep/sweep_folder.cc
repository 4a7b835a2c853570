#include "launch/sweep/sweep_folder.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <string>
#include <sys/file.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "launch/sweep/sweep_record.h"

namespace dcn::sweep {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLockFile = ".lock";

/// The process id that stands in a lock file, "unknown" where none does.
std::string ReadHolder(int lock) {
  std::array<char, 32> text{};
  const ssize_t size = ::pread(lock, text.data(), text.size(), 0);
  const std::string holder(text.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  const std::string digits = holder.substr(0, holder.find_first_not_of("0123456789"));
  return digits.empty() ? "unknown" : digits;
}

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

Result<SweepFolder> SweepFolder::Open(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error || !fs::is_directory(path)) {
    return FileError(StatusCode::kInvalidArgument, "cannot make the output folder", path,
                     error ? error.value() : ENOTDIR);
  }
  DCN_RETURN_IF_ERROR(CheckHoldsSweepOrNothing(path));
  const fs::path lock_path = path / kLockFile;
  FileDescriptor lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (!lock.is_open()) {
    return FileError(OpenErrorCode(errno), "cannot open the lock", lock_path, errno);
  }
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      return FileError(StatusCode::kInternal, "cannot lock", lock_path, errno);
    }
    return Error(StatusCode::kAlreadyExists,
                 "another dcn_sweep, process {}, works in the output folder {}; wait for it, stop "
                 "it, or choose another --output",
                 ReadHolder(lock.get()), path.string());
  }
  const std::string holder = std::to_string(::getpid()) + "\n";
  if (::ftruncate(lock.get(), 0) != 0 || ::pwrite(lock.get(), holder.data(), holder.size(), 0) !=
                                             static_cast<ssize_t>(holder.size())) {
    return FileError(StatusCode::kInternal, "cannot write the lock", lock_path, errno);
  }
  return SweepFolder(path, std::move(lock));
}

void SweepFolder::RemoveIfUnused() {
  std::error_code error;
  if (fs::exists(path_ / kSweepRecordFile, error)) return;
  fs::remove(cache(), error);  // only when it is empty
  fs::remove(path_ / kLockFile, error);
  fs::remove(path_, error);  // likewise
}

}  // namespace dcn::sweep
