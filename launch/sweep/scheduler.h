// Decides which run starts next, and what a run's end means for it and for the sweep.
//
// Pure bookkeeping, without processes, files or clocks: the shell (sweep.cc) starts and waits, and
// tells. A run that was killed by a signal starts again, a few times; a run that ended by itself
// with an error would end so again, so it ends the sweep.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <vector>

namespace dcn::sweep {

/// How a process ended.
struct ProcessExit {
  int code = 0;    // its exit code, where it ended by itself
  int signal = 0;  // the signal that killed it, else 0
  friend bool operator==(const ProcessExit&, const ProcessExit&) = default;
};

/// What follows from a run's end.
enum class Verdict {
  kDone,     // it is finished
  kRestart,  // killed by a signal: StartNext() hands it out again, before any other
  kFailed,   // the sweep ends: nothing starts any more
  kStopped,  // the sweep was ending already; the run is left for the next start of the sweep
};

/// Thread safety: none.
class Scheduler {
 public:
  /// done: for each run, in the order in which they shall start, whether it is finished already.
  /// slots: runs at a time (>= 1). max_restarts: how often one run may start again (>= 0).
  Scheduler(std::vector<bool> done, int slots, int max_restarts);

  /// The run to start now, which then counts as running; nothing while all slots are taken, when
  /// no run waits, or when the sweep is ending.
  std::optional<std::size_t> StartNext();

  /// Takes the end of a running run. REQUIRES: StartNext() handed it out and it has not ended.
  Verdict Finish(std::size_t run, const ProcessExit& exit);

  /// Ends the sweep: nothing starts any more.
  void Stop() { stopping_ = true; }

  [[nodiscard]] bool stopping() const { return stopping_; }
  [[nodiscard]] int running_count() const { return running_count_; }
  [[nodiscard]] std::size_t done_count() const { return done_count_; }
  [[nodiscard]] std::size_t run_count() const { return runs_.size(); }
  /// How often a run has been started again.
  [[nodiscard]] int restarts(std::size_t run) const { return runs_.at(run).restarts; }
  /// Nothing runs, and nothing will start.
  [[nodiscard]] bool is_over() const {
    return running_count_ == 0 && (stopping_ || waiting_.empty());
  }

 private:
  struct Run {
    bool is_running = false;
    int restarts = 0;
  };

  const int slots_;
  const int max_restarts_;
  std::vector<Run> runs_;
  std::deque<std::size_t> waiting_;
  std::size_t done_count_ = 0;
  int running_count_ = 0;
  bool stopping_ = false;
};

}  // namespace dcn::sweep
