// Training's progress on stderr: one line that is redrawn on a terminal, a line now and then
// elsewhere.
#pragma once

#include "worker/train/trainer.h"

namespace dcn::launch {

/// Thread safety: none.
class ProgressLine {
 public:
  /// is_quiet: prints nothing (log levels above info).
  explicit ProgressLine(bool is_quiet);

  /// Tells of a step; prints at most ten times a second on a terminal, every five seconds and at
  /// the end elsewhere.
  void Update(const train::Progress& progress);

  /// Ends the redrawn line, so that other output starts on its own.
  void Finish();

 private:
  const bool is_quiet_;
  const bool is_terminal_;
  bool has_open_line_ = false;
  double last_print_ = 0;  // seconds of training
  double rows_ = 0;        // so far
  double loss_sum_ = 0;    // over steps since the last print
  int loss_steps_ = 0;
};

}  // namespace dcn::launch
