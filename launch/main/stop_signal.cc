#include "launch/main/stop_signal.h"

#include <ctime>

namespace dcn::launch {

StopSignal::StopSignal() {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGINT);
  sigaddset(&signals_, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
}

bool StopSignal::AwaitRequest(std::chrono::milliseconds timeout) {
  if (received_ != 0) return true;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
  const timespec wait = {.tv_sec = seconds.count(),
                         .tv_nsec = std::chrono::nanoseconds(timeout - seconds).count()};
  const int received = sigtimedwait(&signals_, nullptr, &wait);
  if (received <= 0) return false;
  received_ = received;
  pthread_sigmask(SIG_UNBLOCK, &signals_, nullptr);
  return true;
}

const char* StopSignal::name() const { return received_ == SIGTERM ? "SIGTERM" : "SIGINT"; }

}  // namespace dcn::launch
