// A thread with a name, which ends before the object that owns it, and whose exception is reported.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <thread>

namespace dcn {

/// Runs one function on a thread of its own. Thread safety: the thread that constructs it also
/// joins and destroys it.
class NamedThread {
 public:
  /// name: shown by tools (its first 15 characters). body: the thread's work; whoever owns this
  /// object makes it return. on_exception: called on the thread with the text of an exception that
  /// left `body`, which is a bug; must not throw.
  NamedThread(std::string name, std::function<void()> body,
              std::function<void(std::string_view what)> on_exception);
  /// Waits for the end of `body`.
  ~NamedThread() { Join(); }
  NamedThread(const NamedThread&) = delete;
  NamedThread& operator=(const NamedThread&) = delete;

  /// Waits for the end of `body`; again: returns at once.
  void Join();
  /// Leaves the thread to itself; nobody can wait for it from then on. REQUIRES: `body` owns or
  /// shares all that it touches (common/file/disk_thread.h).
  void Detach();

 private:
  std::thread thread_;
};

}  // namespace dcn
