// SIGINT and SIGTERM as a question that a program asks when it can stop cleanly.
#pragma once

#include <chrono>
#include <csignal>

namespace dcn::launch {

/// Holds the two signals back from its construction on, in this thread and those it starts later.
/// The first one that comes is reported by is_requested(); from then on a second one ends the
/// process at once, as without this object.
/// Thread safety: questions come from the constructing thread.
class StopSignal {
 public:
  StopSignal();

  /// Whether a signal has come.
  [[nodiscard]] bool is_requested() { return AwaitRequest(std::chrono::milliseconds(0)); }
  /// The same, waiting for one as long as `timeout`.
  [[nodiscard]] bool AwaitRequest(std::chrono::milliseconds timeout);
  /// Its name ("SIGINT"), once is_requested() has said yes.
  [[nodiscard]] const char* name() const;

 private:
  sigset_t signals_;
  int received_ = 0;
};

}  // namespace dcn::launch
