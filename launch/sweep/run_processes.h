// The processes of the runs under way: a worker, or the script that starts several, for each.
//
// A run's lock file is held by its processes, which inherit it. So no two attempts of a run
// overlap, not even where dcn_sweep was killed and started again while a script's workers were
// still ending.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <sys/types.h>
#include <vector>

#include "common/clock.h"
#include "common/status.h"
#include "launch/sweep/process_exit.h"
#include "launch/sweep/run_plan.h"
#include "launch/sweep/stall_watch.h"
#include "launch/sweep/step_files.h"

namespace dcn::sweep {

/// Thread safety: none; the main thread's (child_process.h).
class RunProcesses {
 public:
  struct Running {
    std::size_t run = 0;
    pid_t process = 0;
    Stopwatch watch;
    StallWatch stall_watch;
    bool is_stalled = false;  // and was killed for it
  };
  struct Ended {
    std::size_t run = 0;
    ProcessExit exit;
    double seconds = 0;       // from its start
    bool is_stalled = false;  // KillStalled() ended it
  };

  /// Both must outlive this.
  RunProcesses(const std::vector<PlannedRun>& runs, const WorkerCommand& command)
      : runs_(runs), command_(command) {}
  /// Kills what still runs.
  ~RunProcesses() { Kill(); }
  RunProcesses(const RunProcesses&) = delete;
  RunProcesses& operator=(const RunProcesses&) = delete;

  /// Starts a run, which must not be running. is_continued: its log goes on. restarts_left: of it
  /// by its script. step_files: as RunArguments().
  /// kUnavailable: processes of an earlier attempt are not gone yet; the message is "process N".
  /// Otherwise as StartProcess(), or the run's folder cannot be written.
  Result<pid_t> Start(std::size_t run, bool is_continued, int restarts_left,
                      const std::string& step_files);

  /// Tells all of them to end (SIGTERM).
  void AskToEnd() const;
  /// Ends all of them: SIGKILL.
  void Kill() const;

  /// Kills those that take no steps any more (stall_watch.h), as their files tell. To be called
  /// every second, or more often. Scripts do it themselves, for their workers alone.
  void KillStalled(const StepFiles& step_files);

  /// One that has ended since; nothing when there is none. Does not wait.
  std::optional<Ended> TakeEnded();

  /// Waits until everything that an ended run's process had started is gone, too.
  /// kUnavailable: it is not, within `patience`; the message is "process N".
  Status AwaitRelease(std::size_t run, std::chrono::milliseconds patience) const;

  [[nodiscard]] const std::vector<Running>& running() const { return running_; }

 private:
  const std::vector<PlannedRun>& runs_;
  const WorkerCommand& command_;
  std::vector<Running> running_;
  Stopwatch since_look_;  // at steps
};

}  // namespace dcn::sweep
