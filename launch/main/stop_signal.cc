#include "launch/main/stop_signal.h"

#include <ctime>

namespace dcn::launch {

StopSignal::StopSignal(std::initializer_list<int> signals) {
  sigemptyset(&signals_);
  for (const int signal : signals) sigaddset(&signals_, signal);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
}

std::optional<int> StopSignal::AwaitSignal(std::chrono::milliseconds timeout) const {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
  const timespec wait = {.tv_sec = seconds.count(),
                         .tv_nsec = std::chrono::nanoseconds(timeout - seconds).count()};
  const int received = sigtimedwait(&signals_, nullptr, &wait);
  return received > 0 ? std::optional(received) : std::nullopt;
}

bool StopSignal::AwaitRequest(std::chrono::milliseconds timeout) {
  if (received_ != 0) return true;
  const std::optional<int> received = AwaitSignal(timeout);
  if (!received) return false;
  received_ = *received;
  pthread_sigmask(SIG_UNBLOCK, &signals_, nullptr);
  return true;
}

const char* StopSignal::NameOf(int signal) {
  if (signal == SIGUSR1) return "SIGUSR1";
  return signal == SIGTERM ? "SIGTERM" : "SIGINT";
}

}  // namespace dcn::launch
