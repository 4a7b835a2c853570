// Notices a run that is there and takes no steps: stopped, or hanging.
//
// Pure bookkeeping, without clocks or files: the shell (sweep.cc) looks now and then, and tells.
// Only time between steps counts, not that of loading or evaluating, which take what they take.
#pragma once

#include <chrono>
#include <optional>

#include "worker/export/step_file.h"

namespace dcn::sweep {

/// Of one attempt of a run. Thread safety: none.
class StallWatch {
 public:
  /// limit: how long a step may take; 0: as long as it likes.
  explicit StallWatch(std::chrono::milliseconds limit) : limit_(limit) {}

  /// Takes a look at the step file; nothing: it tells nothing. since_last: time since the look
  /// before, of which a second counts at most: where this process did not run, the other one may
  /// not have run, either, as on a machine that was suspended. Returns whether the run stalls.
  bool Take(const std::optional<output::StepReport>& report, std::chrono::milliseconds since_last);

 private:
  std::chrono::milliseconds limit_;
  std::optional<output::StepReport> last_;
  std::chrono::milliseconds still_{0};  // for so long the report has been this one
};

}  // namespace dcn::sweep
