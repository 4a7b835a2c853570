// A whole file as read-only memory.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

#include "common/status.h"

namespace dcn {

/// A mapped regular file. Move-only; views stay valid when it is moved, until it is destroyed.
/// The file must not be truncated meanwhile (reading past its new end is SIGBUS); files that we
/// write are replaced, never changed (atomic_write.h). Thread safety: immutable.
class MappedFile {
 public:
  /// kNotFound: there is no such file. kInvalidArgument: a folder or another non-file, or access
  /// denied. kInternal: the system call failed otherwise. An empty file is fine.
  static Result<MappedFile> Open(const std::filesystem::path& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }
  [[nodiscard]] std::string_view text() const {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }

 private:
  explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::span<const std::byte> bytes_;  // mapped here; empty: nothing to unmap
};

}  // namespace dcn
