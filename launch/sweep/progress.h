// What a sweep says while it runs: one line for each run that ends, and on a terminal one live line
// below them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace dcn::sweep {

/// "0:07", "12:34", "3:05:00". seconds: rounded up; below 0 is 0.
std::string FormatDuration(double seconds);

/// 1234567 as "1,234,567".
std::string FormatCount(double value);

/// How far a sweep is.
struct Standing {
  std::size_t done = 0;
  std::size_t total = 0;
  double mean_run_seconds = 0;  // of the runs finished since the start; 0: none yet
  double running_seconds = 0;   // age of the runs under way, all together
  int slots = 1;
};

/// Seconds until the last run ends: the runs that are left at the mean pace of those finished,
/// shared by the slots. Below 0: not known yet.
double EstimateSecondsLeft(const Standing& standing);

/// A run that has just finished.
struct FinishedLine {
  std::string variant;
  std::uint64_t seed = 0;
  double test_rmse = 0;
  double rows_per_second = 0;
  double seconds = 0;
};

/// "[ 3/15] dcn          seed 2  RMSE 0.9344    312,000 rows/s  0:05  about 0:40 left"
std::string FormatFinished(const FinishedLine& run, const Standing& standing,
                           std::size_t variant_width);

/// A run under way.
struct RunningRun {
  std::string variant;
  std::uint64_t seed = 0;
  double seconds = 0;
};

/// "[3/15] about 0:40 left; running dcn seed 2 (0:12), dnn seed 1 (0:03)", cut to `columns`.
std::string FormatLive(const std::vector<RunningRun>& running, const Standing& standing,
                       std::size_t columns);

/// Writes lines and the live line below them. Thread safety: none.
class ProgressDisplay {
 public:
  /// lines: where lines go. live: the terminal of the live line, nullptr for none.
  ProgressDisplay(std::FILE* lines, std::FILE* live) : lines_(lines), live_(live) {}
  ~ProgressDisplay() { ClearLive(); }
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;

  [[nodiscard]] bool has_live_line() const { return live_ != nullptr; }
  /// Columns of the live line's terminal, 80 where it does not tell.
  [[nodiscard]] std::size_t columns() const;

  void Print(std::string_view line);
  void ShowLive(std::string_view line);
  void ClearLive();

 private:
  std::FILE* lines_;
  std::FILE* live_;
  bool is_shown_ = false;
};

}  // namespace dcn::sweep
