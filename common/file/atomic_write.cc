#include "common/file/atomic_write.h"

#include <cerrno>
#include <fcntl.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <fmt/core.h>

namespace dcn {
namespace {

namespace fs = std::filesystem;

fs::path FolderOf(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

// A leftover of a killed process with our number may have the first names; more than this many is
// no accident.
constexpr int kMaxNames = 1000;

}  // namespace

Status SyncFolder(const fs::path& path) {
  FileDescriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // EINVAL: a file system on which folders cannot be synced, and need not be.
  if (folder.is_open() && (::fsync(folder.get()) == 0 || errno == EINVAL)) return {};
  return FileError(StatusCode::kInternal, "cannot sync the folder", path, errno);
}

AtomicFile::AtomicFile(fs::path target, fs::path temporary, FileDescriptor file)
    : target_(std::move(target)), temporary_(std::move(temporary)), file_(std::move(file)) {}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : target_(std::move(other.target_)),
      temporary_(std::exchange(other.temporary_, {})),
      file_(std::move(other.file_)),
      failure_(std::move(other.failure_)) {}

AtomicFile::~AtomicFile() { RemoveTemporary(); }

Result<AtomicFile> AtomicFile::Create(const fs::path& path) {
  struct stat present = {};
  if (::stat(path.c_str(), &present) == 0 && !S_ISREG(present.st_mode)) {
    return Error(StatusCode::kInvalidArgument, "cannot write {}: it is {}, not a regular file",
                 path.string(), S_ISDIR(present.st_mode) ? "a folder" : "a device, pipe or socket");
  }
  if (path.filename().empty()) {
    return Error(StatusCode::kInvalidArgument, "cannot write '{}': the path names no file",
                 path.string());
  }
  for (int i = 0; i < kMaxNames; ++i) {
    fs::path temporary =
        FolderOf(path) / fmt::format(".{}.{}.{}.tmp", path.filename().string(), ::getpid(), i);
    FileDescriptor file(
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));  // less umask
    if (file.is_open()) return AtomicFile(path, std::move(temporary), std::move(file));
    if (errno != EEXIST) {
      const int error_number = errno;
      return FileError(OpenErrorCode(error_number), "cannot write", path, error_number);
    }
  }
  return Error(StatusCode::kInternal,
               "cannot write {}: {} temporary files of it are there already; remove them",
               path.string(), kMaxNames);
}

Status AtomicFile::Append(std::string_view bytes) {
  DCN_RETURN_IF_ERROR(failure_);
  DCN_CHECK(file_.is_open());  // not committed yet
  while (!bytes.empty()) {
    const ssize_t written = ::write(file_.get(), bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;  // nothing was written
      return Fail("cannot write", errno);
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Status AtomicFile::Append(std::span<const std::byte> bytes) {
  return Append(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

Status AtomicFile::WriteAt(std::uint64_t offset, std::span<const std::byte> bytes) {
  DCN_RETURN_IF_ERROR(failure_);
  DCN_CHECK(file_.is_open());  // not committed yet
  while (!bytes.empty()) {
    const ssize_t written =
        ::pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0) {
      if (errno == EINTR) continue;  // nothing was written
      return Fail("cannot write", errno);
    }
    offset += static_cast<std::uint64_t>(written);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Status AtomicFile::Commit() {
  DCN_RETURN_IF_ERROR(failure_);
  DCN_CHECK(file_.is_open());  // not committed yet
  if (::fsync(file_.get()) != 0) return Fail("cannot sync", errno);
  if (const int error_number = file_.Close(); error_number != 0) {
    return Fail("cannot close", error_number);
  }
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) {
    return Fail("cannot rename the finished file to", errno);
  }
  temporary_.clear();
  if (const Status synced = SyncFolder(FolderOf(target_)); !synced.ok()) {
    failure_ = Error(synced.code(), "{} is written, but: {}", target_.string(), synced.message());
  }
  return failure_;
}

Status AtomicFile::Fail(std::string_view what, int error_number) {
  failure_ = FileError(StatusCode::kInternal, what, target_, error_number);
  RemoveTemporary();
  return failure_;
}

void AtomicFile::RemoveTemporary() {
  file_.Close();
  if (temporary_.empty()) return;
  ::unlink(temporary_.c_str());  // its failure leaves a file that nothing reads
  temporary_.clear();
}

Status WriteFileAtomically(const fs::path& path, std::string_view bytes) {
  DCN_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  DCN_RETURN_IF_ERROR(file.Append(bytes));
  return file.Commit();
}

}  // namespace dcn
