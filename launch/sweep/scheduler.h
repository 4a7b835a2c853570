// Decides which run starts next, and what a run's end means for it and for the sweep.
//
// Pure bookkeeping, without processes, files or clocks: the shell (sweep.cc) starts and waits, and
// tells. A run that was lost to something that can pass (process_exit.h) starts again, a few times,
// each time after a longer wait, in which others may start; any other failure would come again, so
// it ends the sweep.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <deque>
#include <optional>
#include <vector>

#include "launch/sweep/process_exit.h"

namespace dcn::sweep {

/// A point in time, since a moment that never changes.
using Moment = std::chrono::milliseconds;

/// An attempt that lasted this long shows that the cause of earlier losses has passed. It is the
/// longest wait, too.
inline constexpr std::chrono::milliseconds kLongestRestartDelay{30'000};

/// How long a run waits after it was lost `losses` times in a row (>= 1): half a second, doubled
/// with each loss, at most kLongestRestartDelay.
[[nodiscard]] std::chrono::milliseconds RestartDelay(int losses);

/// What follows from a run's end.
enum class Verdict {
  kDone,     // it is finished
  kRestart,  // StartNext() hands it out again, after restart_delay() and before any other
  kFailed,   // the sweep ends: nothing starts any more
  kStopped,  // the sweep was ending already; the run is left for the next start of the sweep
};

/// Thread safety: none.
class Scheduler {
 public:
  /// done: for each run, in the order in which they shall start, whether it is finished already.
  /// slots: runs at a time (>= 1). max_restarts: how often one run may start again (>= 0).
  Scheduler(std::vector<bool> done, int slots, int max_restarts);

  /// The run to start at `now`, which then counts as running; nothing while all slots are taken,
  /// when no run waits or none may start yet, or when the sweep is ending.
  std::optional<std::size_t> StartNext(Moment now);

  /// Takes the end of a running run. REQUIRES: StartNext() handed it out and it has not ended.
  Verdict Finish(std::size_t run, const ProcessExit& exit, Moment now);

  /// Takes back a run that StartNext() has just handed out and that cannot start before `until`.
  /// may_start: it will be able to then, as far as is known.
  void Postpone(std::size_t run, Moment until, bool may_start = true);

  /// Counts a restart of a running run that was not handed out here: of its workers, by the script
  /// that leads them.
  void CountRestart(std::size_t run) { ++runs_.at(run).restarts; }

  /// Ends the sweep: nothing starts any more.
  void Stop() { stopping_ = true; }

  /// When a run that waits for its time may start, if a slot is free; nothing where none does.
  [[nodiscard]] std::optional<Moment> next_start() const;
  [[nodiscard]] bool stopping() const { return stopping_; }
  [[nodiscard]] int running_count() const { return running_count_; }
  /// Whether, beside one that was just handed out, a run is running or may start.
  [[nodiscard]] bool has_others() const {
    return running_count_ > 1 || !waiting_.empty() ||
           std::any_of(delayed_.begin(), delayed_.end(),
                       [](const Delayed& run) { return run.may_start; });
  }
  [[nodiscard]] std::size_t done_count() const { return done_count_; }
  [[nodiscard]] std::size_t run_count() const { return runs_.size(); }
  /// How often a run has been started again.
  [[nodiscard]] int restarts(std::size_t run) const { return runs_.at(run).restarts; }
  /// How often it may be.
  [[nodiscard]] int restarts_left(std::size_t run) const {
    return std::max(0, max_restarts_ - restarts(run));
  }
  /// How long a run that was lost waits.
  [[nodiscard]] std::chrono::milliseconds restart_delay(std::size_t run) const {
    return RestartDelay(runs_.at(run).losses_in_a_row);
  }
  /// Nothing runs, and nothing will start.
  [[nodiscard]] bool is_over() const {
    return running_count_ == 0 && (stopping_ || (waiting_.empty() && delayed_.empty()));
  }

 private:
  struct Run {
    bool is_running = false;
    Moment started{};
    int restarts = 0;
    int losses_in_a_row = 0;  // of attempts shorter than kLongestRestartDelay, and the last one
  };
  struct Delayed {
    Moment until;
    std::size_t run;
    bool may_start;
  };

  void Leave(std::size_t run);
  void Delay(std::size_t run, Moment until, bool may_start);

  const int slots_;
  const int max_restarts_;
  std::vector<Run> runs_;
  std::deque<std::size_t> waiting_;  // not started so far
  std::vector<Delayed> delayed_;     // by time
  std::size_t done_count_ = 0;
  int running_count_ = 0;
  bool stopping_ = false;
};

}  // namespace dcn::sweep
