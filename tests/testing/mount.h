// File systems of a test's own, seen by this process and those that it starts: a small one that
// becomes full, a view of a folder that cannot be written to.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

namespace dcn::testing {

/// Gives this process mounts of its own, which end with it. Returns why that cannot be (it takes
/// root); empty where it was done.
std::string IsolateMounts();

/// An empty file system of `bytes` bytes in memory, over the folder `place`; gone with this object.
/// Throws std::runtime_error where it cannot be. REQUIRES: IsolateMounts, as below.
class SmallDisk {
 public:
  SmallDisk(std::filesystem::path place, std::size_t bytes);
  ~SmallDisk();
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

 private:
  const std::filesystem::path place_;
};

/// While it lives, whoever opens something in the folder `place` cannot write to it (EROFS).
/// Throws std::runtime_error where it cannot be.
class ReadOnlyView {
 public:
  explicit ReadOnlyView(std::filesystem::path place);
  ~ReadOnlyView();
  ReadOnlyView(const ReadOnlyView&) = delete;
  ReadOnlyView& operator=(const ReadOnlyView&) = delete;

 private:
  const std::filesystem::path place_;
};

}  // namespace dcn::testing
