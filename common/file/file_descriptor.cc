#include "common/file/file_descriptor.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace dcn {

int FileDescriptor::Close() {
  if (fd_ < 0) return 0;
  // Never repeated on EINTR: on Linux the descriptor is closed even then.
  return ::close(Release()) == 0 || errno == EINTR ? 0 : errno;
}

Result<RegularFile> OpenRegularFile(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a pipe must not wait for its writer.
  RegularFile opened = {
      .file = FileDescriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK))};
  if (!opened.file.is_open()) {
    const int error_number = errno;
    const bool missing = error_number == ENOENT || error_number == ENOTDIR;
    return FileError(missing ? StatusCode::kNotFound : OpenErrorCode(error_number), "cannot open",
                     path, error_number);
  }
  struct stat present = {};
  if (::fstat(opened.file.get(), &present) != 0) {
    return FileError(StatusCode::kInternal, "cannot read the size of", path, errno);
  }
  if (!S_ISREG(present.st_mode)) {
    return Error(StatusCode::kInvalidArgument, "cannot read {}: it is {}, not a regular file",
                 path.string(), S_ISDIR(present.st_mode) ? "a folder" : "a device, pipe or socket");
  }
  opened.bytes = static_cast<std::size_t>(present.st_size);
  return opened;
}

Status FileError(StatusCode code, std::string_view what, const std::filesystem::path& path,
                 int error_number) {
  return Error(code, "{} {}: {}", what, path.string(),
               std::generic_category().message(error_number));
}

StatusCode OpenErrorCode(int error_number) {
  switch (error_number) {
    case EACCES:
    case EISDIR:
    case ELOOP:
    case ENAMETOOLONG:
    case ENOENT:
    case ENOTDIR:
    case EPERM:
    case EROFS:
      return StatusCode::kInvalidArgument;
    default:
      return StatusCode::kInternal;
  }
}

}  // namespace dcn
