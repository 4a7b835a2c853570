#include "launch/main/run_stop.h"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <string_view>
#include <unistd.h>

#include <fmt/core.h>

#include "launch/main/exit_code.h"

namespace dcn::launch {
namespace {

constexpr std::chrono::milliseconds kInterval{50};  // how long the end of this object may take

[[noreturn]] void ExitNow(const char* signal) {
  fmt::print(stderr, "dcn_worker: stopped by {}\n", signal);
  ::_exit(kExitStopped);
}

}  // namespace

RunStop::RunStop() : signal_({SIGINT, SIGTERM, SIGUSR1}) {
  thread_ = std::make_unique<NamedThread>(
      "dcn-signals", [this] { Watch(); }, [](std::string_view) {});
}

RunStop::~RunStop() { is_over_ = true; }

void RunStop::BeginSteps() {
  const std::lock_guard lock(mutex_);
  is_in_steps_ = true;
}

bool RunStop::EndSteps() {
  const std::lock_guard lock(mutex_);
  is_in_steps_ = false;
  return is_requested_;
}

void RunStop::Watch() {
  while (!is_over_) {
    const auto received = signal_.AwaitSignal(kInterval);
    if (!received) continue;
    const std::lock_guard lock(mutex_);
    const bool is_again = is_requested_ && *received != SIGUSR1;
    if (!is_in_steps_ || is_again) ExitNow(StopSignal::NameOf(*received));
    is_requested_ = true;
  }
}

}  // namespace dcn::launch
