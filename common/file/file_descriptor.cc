#include "common/file/file_descriptor.h"

#include <cerrno>
#include <system_error>
#include <unistd.h>

namespace dcn {

int FileDescriptor::Close() {
  if (fd_ < 0) return 0;
  // Never repeated on EINTR: on Linux the descriptor is closed even then.
  return ::close(Release()) == 0 || errno == EINTR ? 0 : errno;
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
