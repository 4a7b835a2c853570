// Elapsed time on the monotonic clock; the wall clock decides nothing in this program.
#pragma once

#include <chrono>

namespace dcn {

/// Measures from its construction or the last Restart().
class Stopwatch {
 public:
  using Clock = std::chrono::steady_clock;

  Stopwatch() : start_(Clock::now()) {}

  /// Elapsed seconds.
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(Clock::now() - start_).count();
  }

  /// Elapsed seconds, measured anew from now on.
  double Restart() {
    const Clock::time_point now = Clock::now();
    const double elapsed = std::chrono::duration<double>(now - start_).count();
    start_ = now;
    return elapsed;
  }

 private:
  Clock::time_point start_;
};

}  // namespace dcn
