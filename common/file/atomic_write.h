// Files that are there whole or not at all, also after a crash or a power cut.
//
// Bytes go to a temporary beside the target; Commit syncs it, renames it over the target and syncs
// the folder. A reader sees the old file or the new one. A write or sync that failed is final: the
// temporary is removed and nothing is tried again on its descriptor, whose dirty pages the kernel
// may have dropped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

#include "common/file/file_descriptor.h"
#include "common/status.h"

namespace dcn {

/// A file being written. Without a Commit() that returned ok, the target stays as it was and the
/// destructor removes the temporary. Move-only. Thread safety: none.
class AtomicFile {
 public:
  /// Opens a temporary with a unique name in the folder of `path`. A symbolic link at `path` will
  /// be replaced, not followed.
  /// kInvalidArgument: no such folder, no permission, or `path` is there and is no regular file.
  static Result<AtomicFile> Create(const std::filesystem::path& path);

  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();

  /// Writes `bytes` through to the kernel, unbuffered: pass large pieces.
  /// kInternal: the write failed. The temporary is gone, and this and every later call returns the
  /// first failure.
  Status Append(std::string_view bytes);
  Status Append(std::span<const std::byte> bytes);
  /// The same at a place of its own; what lies between stays zero. Append goes on where it was.
  Status WriteAt(std::uint64_t offset, std::span<const std::byte> bytes);

  /// Makes the file durable under its name; nothing may be appended afterwards.
  /// kInternal: not committed, the target is as it was (or, where only the sync of the folder
  /// failed, the new file is there but may not outlast a power cut).
  Status Commit();

 private:
  AtomicFile(std::filesystem::path target, std::filesystem::path temporary, FileDescriptor file);

  Status Fail(std::string_view what, int error_number);
  void RemoveTemporary();

  std::filesystem::path target_;
  std::filesystem::path temporary_;  // empty when there is none (any more)
  FileDescriptor file_;
  Status failure_;  // the first failure
};

/// Makes the entries of `folder` durable: what was made or renamed in it. kInternal: it cannot be.
Status SyncFolder(const std::filesystem::path& folder);

/// Writes one whole file through AtomicFile; same errors.
Status WriteFileAtomically(const std::filesystem::path& path, std::string_view bytes);

}  // namespace dcn
