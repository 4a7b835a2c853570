// Training's progress on stderr: one line that is redrawn on a terminal, a line now and then
// elsewhere.
#pragma once

#include <cstdio>
#include <string>

#include "worker/train/trainer.h"

namespace dcn::launch {

/// "epoch 2  step 30/112  loss 0.9012  312000 rows/s  4.3 s left": rows a second over the whole
/// training; what is left if steps go on taking as long. mean_loss: of the steps that the line
/// tells of. REQUIRES: progress.step >= 1.
[[nodiscard]] std::string ProgressText(const train::Progress& progress, double mean_loss);

/// Thread safety: none.
class ProgressLine {
 public:
  /// is_quiet: prints nothing (log levels above info). out: must outlive this.
  explicit ProgressLine(bool is_quiet, std::FILE* out = stderr);

  /// Tells of a step; prints at most ten times a second on a terminal, every five seconds
  /// elsewhere, and at the end. The loss is the mean over the steps since the line before.
  void Update(const train::Progress& progress);

  /// Ends the redrawn line, so that other output starts on its own.
  void Finish();

 private:
  const bool is_quiet_;
  std::FILE* const out_;
  const bool is_terminal_;
  bool has_open_line_ = false;
  double last_print_ = 0;  // seconds of training
  double loss_sum_ = 0;    // over steps since the last print
  int loss_steps_ = 0;
};

}  // namespace dcn::launch
