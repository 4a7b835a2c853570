#include "launch/sweep/progress.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <sys/ioctl.h>

#include <fmt/format.h>

namespace dcn::sweep {

std::string FormatDuration(double seconds) {
  const auto whole = static_cast<std::uint64_t>(std::ceil(std::clamp(seconds, 0.0, 1e9)));
  const std::uint64_t hours = whole / 3600;
  const std::uint64_t minutes = whole / 60 % 60;
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60);
  return fmt::format("{}:{:02}", minutes, whole % 60);
}

std::string FormatCount(double value) {
  std::string digits = fmt::format("{:.0f}", value);
  const std::size_t first = digits.starts_with('-') ? 1 : 0;
  for (std::size_t at = digits.size(); at > first + 3;) {
    at -= 3;
    digits.insert(at, 1, ',');
  }
  return digits;
}

double EstimateSecondsLeft(const Standing& standing) {
  if (standing.done >= standing.total) return 0;
  if (standing.mean_run_seconds <= 0) return -1;
  const auto runs_left = static_cast<double>(standing.total - standing.done);
  const double slots = std::min(static_cast<double>(standing.slots), runs_left);
  const double work = runs_left * standing.mean_run_seconds - standing.running_seconds;
  return std::max(work / slots, 0.0);
}

namespace {

std::string FormatLeft(const Standing& standing) {
  const double left = EstimateSecondsLeft(standing);
  return left < 0 ? std::string() : fmt::format("about {} left", FormatDuration(left));
}

}  // namespace

std::string FormatFinished(const FinishedLine& run, const Standing& standing,
                           std::size_t variant_width) {
  const std::size_t digits = std::to_string(standing.total).size();
  std::string line =
      fmt::format("[{:>{}}/{}] {:<{}}  seed {:<3} RMSE {:.4f}  {:>9} rows/s  {}", standing.done,
                  digits, standing.total, run.variant, variant_width, run.seed, run.test_rmse,
                  FormatCount(run.rows_per_second), FormatDuration(run.seconds));
  if (standing.done < standing.total) line += "  " + FormatLeft(standing);
  return line;
}

std::string FormatLive(const std::vector<RunningRun>& running, const Standing& standing,
                       std::size_t columns) {
  std::string line = fmt::format("[{}/{}]", standing.done, standing.total);
  const std::string left = FormatLeft(standing);
  if (!left.empty()) line += " " + left + ";";
  line += " running";
  const char* separator = " ";
  for (const RunningRun& run : running) {
    line += fmt::format("{}{} seed {} ({})", separator, run.variant, run.seed,
                        FormatDuration(run.seconds));
    separator = ", ";
  }
  if (line.size() > columns) {
    line.resize(columns > 3 ? columns - 3 : 0);
    line += "...";
  }
  return line;
}

std::size_t ProgressDisplay::columns() const {
  constexpr std::size_t kDefault = 80;
  winsize size{};
  if (live_ == nullptr || ::ioctl(::fileno(live_), TIOCGWINSZ, &size) != 0) return kDefault;
  return size.ws_col > 0 ? size.ws_col : kDefault;
}

void ProgressDisplay::Print(std::string_view line) {
  ClearLive();
  fmt::print(lines_, "{}\n", line);
  std::fflush(lines_);
}

void ProgressDisplay::ShowLive(std::string_view line) {
  if (live_ == nullptr) return;
  fmt::print(live_, "\r\x1b[K{}", line);
  std::fflush(live_);
  is_shown_ = true;
}

void ProgressDisplay::ClearLive() {
  if (!is_shown_) return;
  fmt::print(live_, "\r\x1b[K");
  std::fflush(live_);
  is_shown_ = false;
}

}  // namespace dcn::sweep
