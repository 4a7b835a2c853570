#include "tests/testing/hanging_disk.h"

#include <array>
#include <chrono>
#include <condition_variable>
#include <fcntl.h>
#include <mutex>
#include <string_view>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace dcn::testing {
namespace {

struct Gate {
  std::mutex mutex;
  std::condition_variable changed;
  std::string call;  // guarded by mutex, as what follows; empty: nothing hangs
  std::string part;
  int hangs = 0;
};

// Never destroyed: threads may hang there while the program ends.
Gate& TheGate() {
  static Gate& gate = *new Gate;
  return gate;
}

void Pass(std::string_view call, std::string_view path) {
  Gate& gate = TheGate();
  std::unique_lock lock(gate.mutex);
  if (call != gate.call || path.find(gate.part) == std::string_view::npos) return;
  ++gate.hangs;
  gate.changed.notify_all();
  gate.changed.wait(lock, [&gate] { return gate.call.empty(); });
}

void Pass(std::string_view call, int descriptor) {
  std::array<char, 4096> path{};
  const std::string link = fmt::format("/proc/self/fd/{}", descriptor);
  const ssize_t size = ::readlink(link.c_str(), path.data(), path.size());
  if (size > 0) Pass(call, std::string_view(path.data(), static_cast<std::size_t>(size)));
}

}  // namespace

HangingDisk::HangingDisk(std::string call, std::string part) {
  Gate& gate = TheGate();
  const std::lock_guard lock(gate.mutex);
  gate.call = std::move(call);
  gate.part = std::move(part);
  gate.hangs = 0;
}

HangingDisk::~HangingDisk() { Answer(); }

void HangingDisk::Answer() {
  Gate& gate = TheGate();
  const std::lock_guard lock(gate.mutex);
  gate.call.clear();
  gate.changed.notify_all();
}

void HangingDisk::AwaitHang() const {
  Gate& gate = TheGate();
  std::unique_lock lock(gate.mutex);
  EXPECT_TRUE(
      gate.changed.wait_for(lock, std::chrono::minutes(1), [&gate] { return gate.hangs > 0; }));
}

int HangingDisk::hangs() const {
  Gate& gate = TheGate();
  const std::lock_guard lock(gate.mutex);
  return gate.hangs;
}

}  // namespace dcn::testing

extern "C" {

int fsync(int descriptor) {
  dcn::testing::Pass("fsync", descriptor);
  return static_cast<int>(::syscall(SYS_fsync, descriptor));
}

int mkdir(const char* path, mode_t mode) noexcept {
  dcn::testing::Pass("mkdir", path);
  return static_cast<int>(::syscall(SYS_mkdirat, AT_FDCWD, path, mode));
}

ssize_t pwrite(int descriptor, const void* bytes, size_t count, off_t offset) {
  dcn::testing::Pass("pwrite", descriptor);
  return ::syscall(SYS_pwrite64, descriptor, bytes, count, offset);
}

int unlink(const char* path) noexcept {
  dcn::testing::Pass("unlink", path);
  return static_cast<int>(::syscall(SYS_unlinkat, AT_FDCWD, path, 0));
}

}  // extern "C"
