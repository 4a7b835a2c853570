// SIGINT and SIGTERM as a question that a program asks when it can stop cleanly.
#pragma once

#include <chrono>
#include <csignal>
#include <initializer_list>
#include <optional>

namespace dcn::launch {

/// Holds its signals back from its construction on, in this thread and those it starts later.
/// The first one that comes is reported by AwaitRequest(); from then on a second one ends the
/// process at once, as without this object.
/// Thread safety: questions come from the constructing thread.
class StopSignal {
 public:
  StopSignal(std::initializer_list<int> signals = {SIGINT, SIGTERM});

  /// Whether a signal has come; waits for one as long as `timeout`.
  [[nodiscard]] bool AwaitRequest(std::chrono::milliseconds timeout);
  /// Its name ("SIGINT"), once AwaitRequest() has said yes.
  [[nodiscard]] const char* name() const { return NameOf(received_); }

  /// Waits for the next signal, and takes it; nothing: none came within `timeout`. For a thread
  /// that does nothing else; the process is not ended by further ones.
  [[nodiscard]] std::optional<int> AwaitSignal(std::chrono::milliseconds timeout) const;
  [[nodiscard]] static const char* NameOf(int signal);

 private:
  sigset_t signals_;
  int received_ = 0;
};

}  // namespace dcn::launch
