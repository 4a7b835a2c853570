#include "launch/sweep/stall_watch.h"

#include <algorithm>

namespace dcn::sweep {

bool StallWatch::Take(const std::optional<output::StepReport>& report,
                      std::chrono::milliseconds since_last) {
  constexpr std::chrono::milliseconds kLongestLook{1000};
  const bool is_in_steps = report && report->phase == output::StepPhase::kSteps;
  const bool is_still = is_in_steps && report == last_;
  last_ = report;
  still_ = is_still ? still_ + std::min(since_last, kLongestLook) : std::chrono::milliseconds(0);
  return limit_.count() > 0 && still_ >= limit_;
}

}  // namespace dcn::sweep
