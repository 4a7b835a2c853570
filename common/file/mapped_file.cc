#include "common/file/mapped_file.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <utility>

#include "common/file/file_descriptor.h"

namespace dcn {

Result<MappedFile> MappedFile::Open(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a pipe must not wait for its writer.
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.is_open()) {
    const int error_number = errno;
    const bool missing = error_number == ENOENT || error_number == ENOTDIR;
    return FileError(missing ? StatusCode::kNotFound : OpenErrorCode(error_number), "cannot open",
                     path, error_number);
  }
  struct stat present = {};
  if (::fstat(file.get(), &present) != 0) {
    return FileError(StatusCode::kInternal, "cannot read the size of", path, errno);
  }
  if (!S_ISREG(present.st_mode)) {
    return Error(StatusCode::kInvalidArgument, "cannot read {}: it is {}, not a regular file",
                 path.string(), S_ISDIR(present.st_mode) ? "a folder" : "a device, pipe or socket");
  }
  const auto size = static_cast<std::size_t>(present.st_size);
  if (size == 0) return MappedFile({});
  void* const address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (address == MAP_FAILED) return FileError(StatusCode::kInternal, "cannot map", path, errno);
  return MappedFile(std::span(static_cast<const std::byte*>(address), size));
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace dcn
