#include "launch/sweep/sweep.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "common/clock.h"
#include "launch/sweep/log_tail.h"
#include "launch/sweep/process_exit.h"
#include "launch/sweep/run_log.h"
#include "launch/sweep/run_processes.h"
#include "launch/sweep/scheduler.h"
#include "launch/sweep/step_files.h"
#include "launch/sweep/sweep_chronicle.h"

namespace dcn::sweep {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kWaitForEvent{500};
// A script's log is looked at so often: that workers were lost is known, and timed, by that.
constexpr milliseconds kWaitForScript{100};
// Between SIGTERM and SIGKILL: for a step and its checkpoint. train.sh gives its workers as long,
// and then ends them and their servers.
constexpr milliseconds kStopGrace{60'000};
constexpr milliseconds kScriptStopGrace{100'000};
constexpr milliseconds kReleasePatience{10'000};  // for what a script that was killed has left
constexpr milliseconds kLockInterval{100};        // between looks at a run that is still held …
constexpr milliseconds kLockPatience{30'000};     // … by processes of an earlier attempt
constexpr const char* kStalledText = "took no step any more (--stall-timeout) and was ended";
constexpr std::size_t kShownLogLines = 8;
constexpr std::size_t kShownScriptLogLines = 20;  // mpirun says much below what the workers said

/// One start of RunSweep.
class Session {
 public:
  Session(const std::vector<PlannedRun>& runs, const std::vector<bool>& done,
          const SweepOptions& options, const BlockedSignals& signals, Journal& journal,
          ProgressDisplay& display)
      : runs_(runs),
        options_(options),
        signals_(signals),
        chronicle_(runs, journal),
        display_(display),
        done_before_(done),
        scheduler_(done, options.slots, options.max_restarts),
        processes_(runs, options.worker),
        step_files_(options.worker.step_folder) {
    for (const PlannedRun& run : runs) {
      variant_width_ = std::max(variant_width_, run.variant.size());
    }
  }

  SweepEnd Run() {
    Begin();
    while (true) {
      StartRuns();
      if (scheduler_.is_over()) break;
      ShowLive();
      TakeSignal(signals_.Wait(TimeToWait()));
      TakeScriptRestarts();
      TakeEndedProcesses();
      processes_.KillStalled(step_files_);
      KillAfterGrace();
    }
    AwaitRelease();
    for (const PlannedRun& run : runs_) step_files_.Remove(run);  // the journal has what they told
    end_.done = scheduler_.done_count();
    end_.total = scheduler_.run_count();
    display_.ClearLive();
    Record(chronicle_.TakeEnd(
        {{"exit_code", end_.exit_code}, {"done", end_.done}, {"runs", end_.total}}));
    return end_;
  }

 private:
  using Ended = RunProcesses::Ended;
  struct Script {
    Script(std::filesystem::path file, std::uint64_t begins_at) : log(std::move(file), begins_at) {}
    RunLog log;
    Stopwatch watch;           // of the workers' last start
    std::size_t attempts = 0;  // of the workers, before that
  };
  struct NoStarts {
    int all = 0;
    int while_alone = 0;  // in a row: no other run was running or might start
  };

  void Begin() {
    const WorkerCommand& worker = options_.worker;
    Record(chronicle_.TakeStart({{"runs", runs_.size()},
                                 {"done", scheduler_.done_count()},
                                 {"slots", options_.slots},
                                 {"threads", worker.threads},
                                 {"workers", worker.workers},
                                 {"servers", worker.servers},
                                 {"checkpoint_every", worker.checkpoint_every},
                                 {"max_restarts", options_.max_restarts},
                                 {"stall_timeout", worker.stall_timeout.count()}}));
    for (std::size_t run = 0; run < runs_.size(); ++run) {
      if (!done_before_[run]) continue;
      step_files_.Remove(runs_[run]);
      DropCheckpoints(runs_[run]);
    }
  }

  /// A history with a gap is worth less than the runs.
  void Record(const Status& entry) {
    if (!entry.ok()) display_.Print("the journal lacks an entry: " + entry.message());
  }

  /// Of a run that is finished: all they cost is room.
  void DropCheckpoints(const PlannedRun& run) {
    const Status removed = RemoveCheckpoints(run);
    if (!removed.ok()) display_.Print(removed.message() + ", which no run needs any more");
  }

  bool is_script() const { return !options_.worker.train_script.empty(); }

  /// For Scheduler, which has no clock.
  Moment Now() const {
    return std::chrono::duration_cast<Moment>(std::chrono::duration<double>(watch_.seconds()));
  }

  milliseconds TimeToWait() const {
    const std::optional<Moment> next = scheduler_.next_start();
    const milliseconds longest = is_script() ? kWaitForScript : kWaitForEvent;
    if (!next) return longest;
    return std::clamp(*next - Now(), milliseconds(1), longest);
  }

  void StartRuns() {
    while (const std::optional<std::size_t> next = scheduler_.StartNext(Now())) {
      // What an earlier attempt leaves is whole when all its processes are gone.
      const Status free = processes_.AwaitRelease(*next, milliseconds(0));
      if (free.code() == StatusCode::kUnavailable) {
        TakeHeldRun(*next, free);
        continue;
      }
      held_since_.erase(*next);
      Record(chronicle_.TakeUnfinished(*next, step_files_.ReadLeft(runs_[*next])));
      const bool is_continued = chronicle_.is_continued(*next);
      const std::uint64_t log_bytes = is_continued ? LogBytes(runs_[*next]) : 0;
      const std::string step_files = RenewStepFiles(*next);
      const Result<pid_t> process =
          processes_.Start(*next, is_continued, scheduler_.restarts_left(*next), step_files);
      if (process.ok()) {
        no_starts_.erase(*next);
        if (is_script()) {
          scripts_.erase(*next);
          scripts_.try_emplace(*next, runs_[*next].log_file(), log_bytes);
        }
        Record(chronicle_.TakeStarted(*next, *process));
      } else if (process.status().code() == StatusCode::kUnavailable) {
        TakeHeldRun(*next, process.status());
      } else {
        TakeNoStart(*next, process.status());
      }
    }
  }

  /// As StepFiles::Prefix(); empty where there are none.
  std::string RenewStepFiles(std::size_t run) {
    if (!options_.worker.srun.empty()) return {};
    if (!MakeRunFolder(runs_[run]).ok()) return {};  // which its start will say
    const Status made = step_files_.Renew(runs_[run]);
    if (made.ok()) return step_files_.Prefix(runs_[run]);
    if (!std::exchange(is_without_step_files_, true)) {
      display_.Print(
          "what a loss costs will not be known exactly, nor a run that stalls be noticed: " +
          made.message());
    }
    return {};
  }

  /// Of the attempt under way, or that has just ended.
  AttemptSteps ReadSteps(std::size_t run) const {
    const auto script = scripts_.find(run);
    const std::size_t attempt = script == scripts_.end() ? 0 : script->second.attempts;
    return step_files_.Read(runs_[run], attempt, ReadAttemptSteps(runs_[run].log_file()));
  }

  /// Processes of an earlier attempt may be ending still.
  void TakeHeldRun(std::size_t run, const Status& status) {
    const Moment since = held_since_.try_emplace(run, Now()).first->second;
    if (Now() - since < kLockPatience) {
      scheduler_.Postpone(run, Now() + kLockInterval);
      return;
    }
    TakeNoStart(
        run, Error(StatusCode::kAlreadyExists,
                   "{} is still in use by what {} started, after {} s; end it",
                   runs_[run].folder.string(), status.message(), (Now() - since).count() / 1000));
  }

  /// A run that could not be started, as where the disk is full. It is tried again, each time after
  /// a longer wait: as long as others run or may start, and max_restarts times more.
  void TakeNoStart(std::size_t run, const Status& status) {
    NoStarts& no_starts = no_starts_[run];
    ++no_starts.all;
    no_starts.while_alone = scheduler_.has_others() ? 0 : no_starts.while_alone + 1;
    const PlannedRun& planned = runs_[run];
    const std::string reason = "could not be started: " + status.message();
    if (no_starts.while_alone <= options_.max_restarts) {
      const milliseconds wait = RestartDelay(no_starts.all);
      display_.Print(fmt::format("{} seed {} {}; trying again in {} s", planned.variant,
                                 planned.seed, reason,
                                 std::chrono::duration<double>(wait).count()));
      Record(chronicle_.TakeNoStart(run, reason, wait));
      scheduler_.Postpone(run, Now() + wait, false);
      return;
    }
    static_cast<void>(scheduler_.Finish(run, {.code = kExitFailed, .signal = 0}, Now()));
    end_.exit_code = status.code() == StatusCode::kInternal ? kExitFailed : kExitUsage;
    end_.message = fmt::format("{} seed {} {}", planned.variant, planned.seed, reason);
    Record(chronicle_.TakeFailed(run, reason, end_.exit_code, "", {.is_exact = true}));
  }

  void TakeSignal(int signal) {
    if (signal == 0 || signal == SIGCHLD) return;
    if (std::exchange(is_told_to_stop_, true)) {  // no more grace
      processes_.Kill();
      return;
    }
    if (scheduler_.stopping()) {
      display_.Print("ending after a failure; another signal ends it at once");
      return;
    }
    end_.exit_code = kExitStopped;
    end_.message =
        fmt::format("stopped by {}; finished runs are kept, the same command goes on from here",
                    ::strsignal(signal));
    StopRuns();
  }

  void StopRuns() {
    scheduler_.Stop();
    stop_time_ = Now();
    processes_.AskToEnd();
  }

  void KillAfterGrace() const {
    const milliseconds grace = is_script() ? kScriptStopGrace : kStopGrace;
    if (stop_time_ && Now() - *stop_time_ >= grace) processes_.Kill();
  }

  /// Until the processes of runs that were ended are gone, too: a script that was killed leaves
  /// them to end by themselves.
  void AwaitRelease() const {
    for (const std::size_t run : ended_early_) {
      const Status status = processes_.AwaitRelease(run, kReleasePatience);
      if (status.code() != StatusCode::kUnavailable) continue;
      display_.Print(fmt::format("{} is still in use by what {} started",
                                 runs_[run].folder.string(), status.message()));
    }
  }

  static std::uint64_t LogBytes(const PlannedRun& run) {
    std::error_code error;
    const std::uintmax_t bytes = std::filesystem::file_size(run.log_file(), error);
    return error ? 0 : bytes;
  }

  void TakeScriptRestarts() {
    for (const RunProcesses::Running& running : processes_.running()) {
      TakeScriptRestarts(running.run);
    }
  }

  /// Workers that the run's script has started again since it was last asked.
  void TakeScriptRestarts(std::size_t run) {
    const auto script = scripts_.find(run);
    if (script == scripts_.end()) return;
    for (const RunLog::Loss& loss : script->second.log.TakeLosses()) {
      scheduler_.CountRestart(run);
      const ProcessExit exit{.code = loss.restart.exit_code, .signal = 0};
      const std::string reason = loss.is_stalled ? kStalledText : DescribeExit(exit);
      TakeRestart(run, "workers " + reason, script->second.watch.Restart(), loss.restart.wait,
                  step_files_.Read(runs_[run], script->second.attempts++, loss.steps), true);
    }
  }

  void TakeEndedProcesses() {
    while (const std::optional<Ended> ended = processes_.TakeEnded()) TakeEnd(*ended);
  }

  void TakeEnd(const Ended& ended) {
    TakeScriptRestarts(ended.run);
    ProcessExit exit = ended.exit;
    std::string reason = DescribeExit(exit);
    if (ended.is_stalled) reason = kStalledText;
    std::optional<output::RunResult> result;
    if (exit == ProcessExit{}) {
      Result<output::RunResult> read = ReadFinishedRun(runs_[ended.run]);
      if (read.ok()) {
        result = *std::move(read);
      } else {
        exit.code = 1;
        reason = "ended with exit code 0 but left no usable result: " + read.status().message();
      }
    }
    switch (scheduler_.Finish(ended.run, exit, Now())) {
      case Verdict::kDone:
        TakeResult(ended, *result);
        break;
      case Verdict::kRestart:
        TakeRestart(ended.run, reason, ended.seconds, scheduler_.restart_delay(ended.run),
                    ReadSteps(ended.run), false);
        break;
      case Verdict::kFailed:
        TakeFailure(ended, exit, reason);
        break;
      case Verdict::kStopped:
        ended_early_.push_back(ended.run);
        Record(chronicle_.TakeStopped(ended.run, reason, ReadSteps(ended.run)));
        break;
    }
  }

  void TakeResult(const Ended& ended, const output::RunResult& result) {
    finished_seconds_ += ended.seconds;
    ++finished_count_;
    Record(chronicle_.TakeFinished(ended.run, result, ended.seconds, ReadSteps(ended.run)));
    const PlannedRun& run = runs_[ended.run];
    step_files_.Remove(run);
    display_.Print(FormatFinished(
        {run.variant, run.seed, result.test_rmse, result.train_rows_per_second, ended.seconds},
        CurrentStanding(), variant_width_));
    DropCheckpoints(run);
  }

  void TakeRestart(std::size_t run, const std::string& reason, double seconds, milliseconds wait,
                   const AttemptSteps& steps, bool is_by_script) {
    const int restarts = scheduler_.restarts(run);
    display_.Print(fmt::format(
        "{} seed {} {}; starting it again in {} s ({} of {})", runs_[run].variant, runs_[run].seed,
        reason, std::chrono::duration<double>(wait).count(), restarts, options_.max_restarts));
    Record(chronicle_.TakeRestarted(run,
                                    {.reason = reason,
                                     .restarts = restarts,
                                     .seconds = seconds,
                                     .wait = wait,
                                     .is_by_script = is_by_script},
                                    steps));
  }

  void TakeFailure(const Ended& ended, const ProcessExit& exit, const std::string& reason) {
    const PlannedRun& run = runs_[ended.run];
    end_.exit_code = FailureCode(exit);
    const std::string tail =
        ReadLogTail(run.log_file(), is_script() ? kShownScriptLogLines : kShownLogLines);
    end_.message = fmt::format("{} seed {} {}{}{}\n  whole log: {}", run.variant, run.seed, reason,
                               tail.empty() ? "" : ":\n", tail, run.log_file().string());
    StopRuns();
    Record(chronicle_.TakeFailed(ended.run, reason, end_.exit_code, tail, ReadSteps(ended.run)));
  }

  Standing CurrentStanding() const {
    Standing standing;
    standing.done = scheduler_.done_count();
    standing.total = scheduler_.run_count();
    standing.slots = options_.slots;
    if (finished_count_ > 0) {
      standing.mean_run_seconds = finished_seconds_ / static_cast<double>(finished_count_);
    }
    for (const RunProcesses::Running& running : processes_.running()) {
      // A run that takes longer than the others must not count as negative work.
      standing.running_seconds += std::min(running.watch.seconds(), standing.mean_run_seconds);
    }
    return standing;
  }

  void ShowLive() {
    if (!display_.has_live_line()) return;
    if (processes_.running().empty()) {  // all that is left waits for its time
      display_.ClearLive();
      return;
    }
    std::vector<RunningRun> shown;
    for (const RunProcesses::Running& running : processes_.running()) {
      const PlannedRun& run = runs_[running.run];
      shown.push_back({run.variant, run.seed, running.watch.seconds()});
    }
    display_.ShowLive(FormatLive(shown, CurrentStanding(), display_.columns() - 1));
  }

  const std::vector<PlannedRun>& runs_;
  const SweepOptions& options_;
  const BlockedSignals& signals_;
  SweepChronicle chronicle_;
  ProgressDisplay& display_;
  const std::vector<bool> done_before_;  // by run
  Scheduler scheduler_;
  RunProcesses processes_;
  const StepFiles step_files_;
  const Stopwatch watch_;
  std::map<std::size_t, Script> scripts_;      // by run
  std::map<std::size_t, Moment> held_since_;   // runs that an earlier attempt still holds
  bool is_without_step_files_ = false;         // and that was said
  std::map<std::size_t, NoStarts> no_starts_;  // of runs that wait to be tried again
  std::vector<std::size_t> ended_early_;       // runs that were stopped
  bool is_told_to_stop_ = false;               // by a signal
  std::optional<Moment> stop_time_;            // when the workers were told to stop
  SweepEnd end_;
  std::size_t variant_width_ = 0;
  double finished_seconds_ = 0;
  std::size_t finished_count_ = 0;
};

}  // namespace

SweepEnd RunSweep(const std::vector<PlannedRun>& runs, const SweepOptions& options,
                  const BlockedSignals& signals, Journal& journal, ProgressDisplay& display) {
  std::vector<bool> done;
  for (const PlannedRun& run : runs) {
    const Result<output::RunResult> result = ReadFinishedRun(run);
    done.push_back(result.ok());
    if (!result.ok() && result.status().code() != StatusCode::kNotFound) {
      display.Print(fmt::format("{} seed {} runs again: {}", run.variant, run.seed,
                                result.status().message()));
    }
  }
  const auto done_count = std::count(done.begin(), done.end(), true);
  if (done_count > 0) {
    display.Print(fmt::format("{} of {} runs were finished before", done_count, runs.size()));
  }
  return Session(runs, done, options, signals, journal, display).Run();
}

}  // namespace dcn::sweep
