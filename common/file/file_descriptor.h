// An owned file descriptor, and the message of a failed system call on a file.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>

#include "common/status.h"

namespace dcn {

/// Owns a file descriptor; closes it unless Release() came first. Move-only.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.Release()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    if (this != &other) {
      Close();
      fd_ = other.Release();
    }
    return *this;
  }
  ~FileDescriptor() { Close(); }

  [[nodiscard]] bool is_open() const { return fd_ >= 0; }
  /// The descriptor, -1 when there is none.
  [[nodiscard]] int get() const { return fd_; }
  /// Gives the descriptor up without closing it.
  int Release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }
  /// Closes now. Returns errno of a failed close, else 0; the descriptor is gone either way.
  int Close();

 private:
  int fd_ = -1;
};

/// A file that is open for reading, and its size now.
struct RegularFile {
  FileDescriptor file;
  std::size_t bytes = 0;
};

/// Opens a regular file. kNotFound: it is not there. kInvalidArgument: it may not be read, or is a
/// folder, pipe or the like. kInternal: the system's error.
Result<RegularFile> OpenRegularFile(const std::filesystem::path& path);

/// "<what> <path>: <text of error_number>", for example "cannot write results/a.csv: No space left
/// on device".
Status FileError(StatusCode code, std::string_view what, const std::filesystem::path& path,
                 int error_number);

/// The code for a path that could not be opened or made: kInvalidArgument where another path or
/// other permissions would help (absent folder, access denied, read-only file system, …), else
/// kInternal.
StatusCode OpenErrorCode(int error_number);

}  // namespace dcn
