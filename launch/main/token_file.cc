#include "launch/main/token_file.h"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file/file_descriptor.h"
#include "ps/message.h"

namespace dcn::launch {

Result<std::string> ReadTokenFile(const std::filesystem::path& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) {
    return FileError(StatusCode::kInvalidArgument, "cannot read the token file", path, errno);
  }
  struct stat about {};
  if (::fstat(file.get(), &about) != 0) {
    return FileError(StatusCode::kInvalidArgument, "cannot read the token file", path, errno);
  }
  if ((about.st_mode & (S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH)) != 0) {
    return Error(StatusCode::kInvalidArgument,
                 "token file {}: others than its owner can read or write it; chmod 600 helps",
                 path.string());
  }
  std::array<char, ps::kMaxTokenBytes + 2> buffer{};
  const ssize_t count = ::read(file.get(), buffer.data(), buffer.size());
  if (count < 0) {
    return FileError(StatusCode::kInvalidArgument, "cannot read the token file", path, errno);
  }
  std::string_view token(buffer.data(), static_cast<std::size_t>(count));
  if (token.ends_with('\n')) token.remove_suffix(1);
  if (token.ends_with('\r')) token.remove_suffix(1);
  if (token.empty() || token.size() > ps::kMaxTokenBytes) {
    return Error(StatusCode::kInvalidArgument, "token file {}: expected one line of 1 to {} bytes",
                 path.string(), ps::kMaxTokenBytes);
  }
  return std::string(token);
}

}  // namespace dcn::launch
