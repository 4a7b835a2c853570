#include "common/file/lock_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <thread>
#include <unistd.h>

namespace dcn {
namespace {

constexpr std::chrono::milliseconds kInterval{20};

/// The process id that stands in a lock file, "unknown" where none does.
std::string ReadHolder(int lock) {
  std::array<char, 32> text{};
  const ssize_t size = ::pread(lock, text.data(), text.size(), 0);
  const std::string holder(text.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  const std::string digits = holder.substr(0, holder.find_first_not_of("0123456789"));
  return digits.empty() ? "unknown" : digits;
}

}  // namespace

Result<FileDescriptor> LockFile(const std::filesystem::path& file) {
  FileDescriptor lock(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (!lock.is_open()) return FileError(OpenErrorCode(errno), "cannot open the lock", file, errno);
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno == EWOULDBLOCK) {
    return Error(StatusCode::kUnavailable, "process {}", ReadHolder(lock.get()));
  }
  return FileError(StatusCode::kInternal, "cannot lock", file, errno);
}

Result<FileDescriptor> LockFile(const std::filesystem::path& file,
                                std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (true) {
    Result<FileDescriptor> lock = LockFile(file);
    if (lock.ok() || lock.status().code() != StatusCode::kUnavailable ||
        std::chrono::steady_clock::now() >= deadline) {
      return lock;
    }
    std::this_thread::sleep_for(kInterval);
  }
}

Status NameHolder(const FileDescriptor& lock, pid_t process) {
  const std::string text = std::to_string(process) + "\n";
  if (::ftruncate(lock.get(), 0) != 0 ||
      ::pwrite(lock.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    return Error(StatusCode::kInternal, "cannot write a lock: {}", std::strerror(errno));
  }
  return Status();
}

}  // namespace dcn
