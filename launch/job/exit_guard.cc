#include "launch/job/exit_guard.h"

#include <cstdio>
#include <string_view>
#include <unistd.h>
#include <utility>

#include <fmt/core.h>

namespace dcn::job {

ExitGuard::ExitGuard(std::chrono::milliseconds timeout, std::string message, int exit_code) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  thread_ = std::make_unique<NamedThread>(
      "dcn-exit-guard",
      [this, deadline, exit_code, text = std::move(message)] {
        std::unique_lock lock(mutex_);
        if (changed_.wait_until(lock, deadline, [this] { return is_over_; })) return;
        fmt::print(stderr, "{}\n", text);
        ::_exit(exit_code);
      },
      [](std::string_view) {});
}

ExitGuard::~ExitGuard() {
  {
    const std::lock_guard lock(mutex_);
    is_over_ = true;
  }
  changed_.notify_one();
}

}  // namespace dcn::job
