// A thread that works on a disk which may never answer: its owner need not wait for it.
//
// A system call on a disk that is gone (a network file system without its server, a dying device)
// may hang for good, and only the end of the process ends it. So the thread shares what it works
// on with its owner, who waits as long as he likes and then leaves it behind.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "common/named_thread.h"

namespace dcn {

/// What a thread asks of a disk, and since when. Thread safety: calls may come from any thread.
class DiskWait {
 public:
  /// From now on the thread asks the disk for something about `path`; the last request, if any, was
  /// answered.
  void Begin(const std::filesystem::path& path);
  /// It has been answered, and nothing else is asked for.
  void End();

  /// "PATH: the disk has not answered for 12.3 s"; empty where nothing is asked of it.
  [[nodiscard]] std::string text() const;

 private:
  mutable std::mutex mutex_;
  std::string path_;  // guarded by mutex_, as what follows; empty: nothing is asked
  std::chrono::steady_clock::time_point since_;
};

/// Thread safety: calls come from one thread at a time.
class DiskThread {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  /// name, on_exception: as NamedThread's. body: tells what it asks of the disk. Both functions own
  /// or share all that they touch, and touch no object of static storage that has a destructor (so
  /// they do not log): they may go on until the process is gone.
  DiskThread(std::string name, std::function<void(DiskWait& wait)> body,
             std::function<void(std::string_view what)> on_exception);
  /// Does not wait: where the body has not ended, the thread is left behind.
  ~DiskThread();
  DiskThread(const DiskThread&) = delete;
  DiskThread& operator=(const DiskThread&) = delete;

  /// Whether the body has ended, by the deadline; what it owned is gone then.
  [[nodiscard]] bool AwaitEnd(TimePoint deadline) const;
  [[nodiscard]] bool has_ended() const;

  /// DiskWait::text.
  [[nodiscard]] std::string wait_text() const;

 private:
  struct State;  // shared with the thread

  const std::shared_ptr<State> state_;
  NamedThread thread_;
};

}  // namespace dcn
