#include "tests/testing/mount.h"

#include <cerrno>
#include <sched.h>
#include <stdexcept>
#include <sys/mount.h>
#include <system_error>
#include <utility>

namespace dcn::testing {
namespace {

std::string ErrorText() { return std::generic_category().message(errno); }

void Mount(const char* source, const std::filesystem::path& place, const char* type,
           unsigned long flags, const std::string& data) {
  if (::mount(source, place.c_str(), type, flags, data.c_str()) == 0) return;
  throw std::runtime_error("cannot mount at " + place.string() + ": " + ErrorText());
}

}  // namespace

std::string IsolateMounts() {
  if (::unshare(CLONE_NEWNS) == 0 &&
      ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0) {
    return {};
  }
  return "no mounts of the test's own can be made here (it takes root): " + ErrorText();
}

SmallDisk::SmallDisk(std::filesystem::path place, std::size_t bytes) : place_(std::move(place)) {
  Mount("tmpfs", place_, "tmpfs", 0, "size=" + std::to_string(bytes));
}

SmallDisk::~SmallDisk() { ::umount2(place_.c_str(), MNT_DETACH); }

ReadOnlyView::ReadOnlyView(std::filesystem::path place) : place_(std::move(place)) {
  Mount(place_.c_str(), place_, "none", MS_BIND, "");
  Mount("none", place_, "none", MS_REMOUNT | MS_BIND | MS_RDONLY, "");
}

ReadOnlyView::~ReadOnlyView() { ::umount2(place_.c_str(), MNT_DETACH); }

}  // namespace dcn::testing
