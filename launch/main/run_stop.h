// SIGINT, SIGTERM and SIGUSR1 of a training run: the end at a step's end while it takes steps, at
// once otherwise.
//
// SIGUSR1 is there for mpirun, which hands it on to all ranks and leaves them their time; told to
// end by SIGINT or SIGTERM it kills them a second after it has told them.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>

#include "common/named_thread.h"
#include "launch/main/stop_signal.h"

namespace dcn::launch {

/// Made before any other thread. A signal that comes while no steps are taken ends the process with
/// kExitStopped and a line on stderr; so does a second one, unless it is SIGUSR1, which may come
/// again and again.
/// Thread safety: calls come from one thread.
class RunStop {
 public:
  RunStop();
  ~RunStop();
  RunStop(const RunStop&) = delete;
  RunStop& operator=(const RunStop&) = delete;

  /// From now on a signal is only noted.
  void BeginSteps();
  /// Whether one has come since.
  [[nodiscard]] bool is_requested() const { return is_requested_; }
  /// No longer; returns is_requested().
  [[nodiscard]] bool EndSteps();

 private:
  void Watch();

  StopSignal signal_;  // blocks them in all threads
  std::mutex mutex_;
  bool is_in_steps_ = false;  // guarded by mutex_
  std::atomic<bool> is_requested_ = false;
  std::atomic<bool> is_over_ = false;
  std::unique_ptr<NamedThread> thread_;
};

}  // namespace dcn::launch
