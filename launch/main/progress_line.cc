#include "launch/main/progress_line.h"

#include <unistd.h>

#include <fmt/core.h>

#include "common/check.h"

namespace dcn::launch {

std::string ProgressText(const train::Progress& progress, double mean_loss) {
  DCN_CHECK_GE(progress.step, 1U);
  const double rate =
      progress.seconds > 0 ? static_cast<double>(progress.total_rows) / progress.seconds : 0;
  const double left = progress.seconds / static_cast<double>(progress.step) *
                      static_cast<double>(progress.total_steps - progress.step);
  return fmt::format("epoch {}  step {}/{}  loss {:.4f}  {:.0f} rows/s  {:.1f} s left",
                     progress.epoch + 1, progress.step, progress.total_steps, mean_loss, rate,
                     left);
}

ProgressLine::ProgressLine(bool is_quiet, std::FILE* out)
    : is_quiet_(is_quiet), out_(out), is_terminal_(isatty(fileno(out)) == 1) {}

void ProgressLine::Update(const train::Progress& progress) {
  loss_sum_ += progress.loss;
  ++loss_steps_;
  const bool is_last = progress.step == progress.total_steps;
  const double interval = is_terminal_ ? 0.1 : 5.0;
  if (is_quiet_ || (!is_last && progress.seconds - last_print_ < interval)) return;

  const std::string text = ProgressText(progress, loss_sum_ / loss_steps_);
  fmt::print(out_, "{}{}{}", is_terminal_ ? "\r\x1b[K" : "", text, is_terminal_ ? "" : "\n");
  std::fflush(out_);
  has_open_line_ = is_terminal_;
  last_print_ = progress.seconds;
  loss_sum_ = 0;
  loss_steps_ = 0;
}

void ProgressLine::Finish() {
  if (!has_open_line_) return;
  fmt::print(out_, "\n");
  std::fflush(out_);
  has_open_line_ = false;
}

}  // namespace dcn::launch
