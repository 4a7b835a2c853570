// A disk that hangs, without one: link dcn_test_hanging_disk, whose fsync, mkdir, pwrite and unlink
// stand before the system's, in the test program and in what it links.
#pragma once

#include <string>

namespace dcn::testing {

/// While it lives, or until Answer(), every call of one name on a path with a certain part blocks
/// its thread; afterwards the calls do what they always do. One at a time.
class HangingDisk {
 public:
  /// call: "fsync", "mkdir", "pwrite" or "unlink". part: of the path that it is about.
  HangingDisk(std::string call, std::string part);
  ~HangingDisk();
  HangingDisk(const HangingDisk&) = delete;
  HangingDisk& operator=(const HangingDisk&) = delete;

  void Answer();
  /// Waits until a call hangs; fails the test after a minute.
  void AwaitHang() const;
  /// Calls that hang or have hung.
  [[nodiscard]] int hangs() const;
};

}  // namespace dcn::testing
