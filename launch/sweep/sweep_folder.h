// The output folder of a sweep, held by one dcn_sweep at a time.
#pragma once

#include <chrono>
#include <filesystem>

#include "common/file/file_descriptor.h"
#include "common/status.h"

namespace dcn::sweep {

/// A locked folder. The lock ends with the process, however it ends. Move-only.
class SweepFolder {
 public:
  /// Makes and locks the folder. patience: how long to wait for a holder, which may be dying.
  /// kAlreadyExists: another process holds it (its id is named), or it is not empty and holds no
  /// sweep. kInvalidArgument, kInternal: it cannot be made or written.
  static Result<SweepFolder> Open(const std::filesystem::path& path,
                                  std::chrono::milliseconds patience);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// Where encoded data is kept for all runs.
  [[nodiscard]] std::filesystem::path cache() const { return path_ / "cache"; }
  [[nodiscard]] std::filesystem::path journal() const { return path_ / "journal.jsonl"; }

  /// Removes what Open() made, if nothing else has come into the folder: for a sweep that cannot
  /// even begin.
  void RemoveIfUnused();

 private:
  SweepFolder(std::filesystem::path path, FileDescriptor lock);

  std::filesystem::path path_;
  FileDescriptor lock_;
};

}  // namespace dcn::sweep
