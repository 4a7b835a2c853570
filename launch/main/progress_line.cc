#include "launch/main/progress_line.h"

#include <cstdio>
#include <unistd.h>

#include <fmt/core.h>

namespace dcn::launch {

ProgressLine::ProgressLine(bool is_quiet)
    : is_quiet_(is_quiet), is_terminal_(isatty(STDERR_FILENO) == 1) {}

void ProgressLine::Update(const train::Progress& progress) {
  rows_ += static_cast<double>(progress.rows);
  loss_sum_ += progress.loss;
  ++loss_steps_;
  const bool is_last = progress.step == progress.total_steps;
  const double interval = is_terminal_ ? 0.1 : 5.0;
  if (is_quiet_ || (!is_last && progress.seconds - last_print_ < interval)) return;

  const double rate = progress.seconds > 0 ? rows_ / progress.seconds : 0;
  const double left = progress.seconds / static_cast<double>(progress.step) *
                      static_cast<double>(progress.total_steps - progress.step);
  const std::string text = fmt::format(
      "epoch {}  step {}/{}  loss {:.4f}  {:.0f} rows/s  {:.1f} s left", progress.epoch + 1,
      progress.step, progress.total_steps, loss_sum_ / loss_steps_, rate, left);
  fmt::print(stderr, "{}{}{}", is_terminal_ ? "\r\x1b[K" : "", text, is_terminal_ ? "" : "\n");
  std::fflush(stderr);
  has_open_line_ = is_terminal_;
  last_print_ = progress.seconds;
  loss_sum_ = 0;
  loss_steps_ = 0;
}

void ProgressLine::Finish() {
  if (has_open_line_) fmt::print(stderr, "\n");
  has_open_line_ = false;
}

}  // namespace dcn::launch
