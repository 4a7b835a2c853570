// Writes into the journal what happens to the runs of a sweep: with which process, how it ended,
// how long it took, which steps had to be taken again.
//
// Entries of a run have "event", "variant", "seed" and "time". Beside what the calls below are
// given, the end of an attempt has "last_step", unless it is the run's good end or no step was
// begun; and, where the attempt is not a run's first,
//   "resumed_from_step"  0: the beginning
//   "steps_repeated"     that the attempt before had taken
//   "restart_seconds"    from the loss of the attempt before, or from the new start of a dcn_sweep
//                        that was lost, to this one's first step
// A "last_step" or "steps_repeated" that is not known exactly, as where a step file
// (step_files.h) could not be written, is null; "last_step_at_least" and "steps_repeated_at_least"
// then say what is known of it, if anything is. Times that are not known are left out.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <sys/types.h>
#include <vector>

#include "common/status.h"
#include "launch/sweep/attempt_steps.h"
#include "launch/sweep/journal.h"
#include "launch/sweep/run_history.h"
#include "launch/sweep/run_plan.h"

namespace dcn::sweep {

/// An entry that cannot be written costs no run anything: it is left out, and Take… returns why, as
/// Journal::Append() does. Thread safety: none.
class SweepChronicle {
 public:
  /// Both must outlive this.
  SweepChronicle(const std::vector<PlannedRun>& runs, Journal& journal);

  /// "sweep started" and "sweep ended", with what `entry` says.
  Status TakeStart(nlohmann::json entry);
  Status TakeEnd(nlohmann::json entry);

  /// Before a start of a run, of which the first counts: takes in how the journal leaves it. Writes
  /// "lost" where dcn_sweep itself had been lost while it ran. left: what is known of its last
  /// attempts, in their order; at least of the last one.
  Status TakeUnfinished(std::size_t run, std::span<const AttemptSteps> left);

  /// Whether an earlier attempt of the run is to be gone on from, by this start of dcn_sweep or
  /// one before.
  [[nodiscard]] bool is_continued(std::size_t run) const { return states_.at(run).is_continued; }

  /// "not started": it could not be, and is tried again after `wait`
  Status TakeNoStart(std::size_t run, const std::string& reason, std::chrono::milliseconds wait);
  /// "started"
  Status TakeStarted(std::size_t run, pid_t process);
  /// "finished"; seconds: of the last attempt
  Status TakeFinished(std::size_t run, const output::RunResult& result, double seconds,
                      const AttemptSteps& steps);
  struct Restart {
    std::string reason;
    int restarts = 0;                // so far, this one included
    double seconds = 0;              // that the lost attempt took
    std::chrono::milliseconds wait;  // until the next one
    bool is_by_script = false;       // the script that leads the run starts its workers again
  };
  /// "restarted": it, or its workers, were lost just now, and start again
  Status TakeRestarted(std::size_t run, const Restart& restart, const AttemptSteps& steps);
  /// "failed", for good
  Status TakeFailed(std::size_t run, const std::string& reason, int exit_code,
                    const std::string& log_tail, const AttemptSteps& steps);
  /// "stopped", with the sweep
  Status TakeStopped(std::size_t run, const std::string& reason, const AttemptSteps& steps);

 private:
  using Clock = std::chrono::steady_clock;
  struct State {
    bool is_taken_in = false;  // what the journal has of it
    bool is_continued = false;
    StepAccount steps;
    std::optional<Clock::time_point> lost_at;  // the attempt before
  };

  nlohmann::json Entry(const char* event, std::size_t run) const;
  void AddAttempt(std::size_t run, const AttemptSteps& attempt, nlohmann::json& entry);

  const std::vector<PlannedRun>& runs_;
  Journal& journal_;
  const std::map<RunName, RunNews> history_;  // of earlier starts
  const Clock::time_point start_ = Clock::now();
  std::vector<State> states_;  // by run
};

}  // namespace dcn::sweep
