#include "common/file/read_file.h"

#include <algorithm>
#include <cerrno>
#include <unistd.h>

#include "common/file/file_descriptor.h"

namespace dcn {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 16;

}  // namespace

Result<std::string> ReadFile(const std::filesystem::path& path, std::size_t limit) {
  DCN_ASSIGN_OR_RETURN(const RegularFile regular, OpenRegularFile(path));
  std::string text;
  for (std::size_t size = 0;;) {
    text.resize(size + std::min(kPieceBytes, limit - size + 1));  // one more shows what is too long
    const ssize_t count = ::read(regular.file.get(), text.data() + size, text.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const int error_number = errno;
      return FileError(error_number == EIO ? StatusCode::kDataLoss : StatusCode::kInternal,
                       "cannot read", path, error_number);
    }
    size += static_cast<std::size_t>(count);
    if (size > limit) {
      return Error(StatusCode::kOutOfRange, "{}: more than {} bytes", path.string(), limit);
    }
    if (count == 0) {
      text.resize(size);
      return text;
    }
  }
}

}  // namespace dcn
