#include "launch/sweep/sweep.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstring>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "common/clock.h"
#include "launch/sweep/log_tail.h"
#include "launch/sweep/scheduler.h"

namespace dcn::sweep {
namespace {

using nlohmann::json;

constexpr int kExitStopped = 6;
constexpr std::chrono::milliseconds kWaitForEvent{500};
constexpr double kStopGraceSeconds = 10;  // between SIGTERM and SIGKILL
constexpr std::size_t kShownLogLines = 8;

std::string DescribeExit(const ProcessExit& exit) {
  if (exit.signal == 0) return fmt::format("ended with exit code {}", exit.code);
  return fmt::format("was killed by signal {} ({}){}", exit.signal, ::strsignal(exit.signal),
                     exit.signal == SIGKILL ? ", as the kernel does when memory runs out: try "
                                              "fewer --slots"
                                            : "");
}

/// One start of RunSweep.
class Session {
 public:
  Session(const std::vector<PlannedRun>& runs, std::vector<bool> done, const SweepOptions& options,
          const BlockedSignals& signals, Journal& journal, ProgressDisplay& display)
      : runs_(runs),
        options_(options),
        signals_(signals),
        journal_(journal),
        display_(display),
        scheduler_(std::move(done), options.slots, options.max_restarts) {
    for (const PlannedRun& run : runs) {
      variant_width_ = std::max(variant_width_, run.variant.size());
    }
  }

  ~Session() {
    // Only after a failure of our own is anything still running here.
    for (const Running& running : running_) SignalProcess(running.process, SIGKILL);
  }

  Result<SweepEnd> Run() {
    DCN_RETURN_IF_ERROR(Record({{"event", "sweep started"},
                                {"runs", runs_.size()},
                                {"done", scheduler_.done_count()},
                                {"slots", options_.slots},
                                {"threads", options_.worker.threads}}));
    while (true) {
      DCN_RETURN_IF_ERROR(StartRuns());
      if (scheduler_.is_over()) break;
      ShowLive();
      TakeSignal(signals_.Wait(kWaitForEvent));
      DCN_RETURN_IF_ERROR(TakeEndedProcesses());
      KillAfterGrace();
    }
    end_.done = scheduler_.done_count();
    end_.total = scheduler_.run_count();
    display_.ClearLive();
    DCN_RETURN_IF_ERROR(Record({{"event", "sweep ended"},
                                {"exit_code", end_.exit_code},
                                {"done", end_.done},
                                {"runs", end_.total}}));
    return end_;
  }

 private:
  struct Running {
    std::size_t run = 0;
    pid_t process = 0;
    Stopwatch watch;
  };

  Status Record(json entry) { return journal_.Append(std::move(entry)); }

  json Entry(const char* event, std::size_t run) const {
    return {{"event", event}, {"variant", runs_[run].variant}, {"seed", runs_[run].seed}};
  }

  Status StartRuns() {
    while (const std::optional<std::size_t> next = scheduler_.StartNext()) {
      const PlannedRun& run = runs_[*next];
      DCN_RETURN_IF_ERROR(PrepareRun(run));
      const std::vector<std::string> argv = WorkerArguments(options_.worker, run);
      DCN_RETURN_IF_ERROR(StartLog(run.log_file(), argv, scheduler_.restarts(*next)));
      DCN_ASSIGN_OR_RETURN(const pid_t process, StartProcess(argv, run.log_file()));
      running_.push_back({*next, process, Stopwatch()});
      json entry = Entry("started", *next);
      entry["process"] = process;
      DCN_RETURN_IF_ERROR(Record(std::move(entry)));
    }
    return Status();
  }

  void TakeSignal(int signal) {
    if (signal == 0 || signal == SIGCHLD) return;
    if (stop_watch_) {  // told twice: no more grace
      for (const Running& running : running_) SignalProcess(running.process, SIGKILL);
      return;
    }
    if (!scheduler_.stopping()) {
      end_.exit_code = kExitStopped;
      end_.message =
          fmt::format("stopped by {}; finished runs are kept, the same command goes on from here",
                      ::strsignal(signal));
    }
    StopRuns();
  }

  void StopRuns() {
    scheduler_.Stop();
    stop_watch_.emplace();
    for (const Running& running : running_) SignalProcess(running.process, SIGTERM);
  }

  void KillAfterGrace() {
    if (!stop_watch_ || stop_watch_->seconds() < kStopGraceSeconds) return;
    for (const Running& running : running_) SignalProcess(running.process, SIGKILL);
  }

  Status TakeEndedProcesses() {
    for (std::size_t i = 0; i < running_.size();) {
      const std::optional<ProcessExit> exit = PollProcess(running_[i].process);
      if (!exit) {
        ++i;
        continue;
      }
      const Running ended = running_[i];
      running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(i));
      DCN_RETURN_IF_ERROR(TakeEnd(ended, *exit));
    }
    return Status();
  }

  Status TakeEnd(const Running& ended, ProcessExit exit) {
    std::string reason = DescribeExit(exit);
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
    switch (scheduler_.Finish(ended.run, exit)) {
      case Verdict::kDone:
        return TakeResult(ended, *result);
      case Verdict::kRestart:
        return TakeRestart(ended, reason);
      case Verdict::kFailed:
        return TakeFailure(ended, exit, reason);
      case Verdict::kStopped: {
        json entry = Entry("stopped", ended.run);
        entry["reason"] = reason;
        return Record(std::move(entry));
      }
    }
    return Status();
  }

  Status TakeResult(const Running& ended, const output::RunResult& result) {
    const double seconds = ended.watch.seconds();
    finished_seconds_ += seconds;
    ++finished_count_;
    json entry = Entry("finished", ended.run);
    entry["test_rmse"] = result.test_rmse;
    entry["parameter_digest"] = result.parameter_digest;
    entry["seconds"] = seconds;
    DCN_RETURN_IF_ERROR(Record(std::move(entry)));
    const PlannedRun& run = runs_[ended.run];
    display_.Print(FormatFinished(
        {run.variant, run.seed, result.test_rmse, result.train_rows_per_second, seconds},
        CurrentStanding(), variant_width_));
    return Status();
  }

  Status TakeRestart(const Running& ended, const std::string& reason) {
    const PlannedRun& run = runs_[ended.run];
    const int restarts = scheduler_.restarts(ended.run);
    json entry = Entry("restarted", ended.run);
    entry["reason"] = reason;
    entry["restarts"] = restarts;
    DCN_RETURN_IF_ERROR(Record(std::move(entry)));
    display_.Print(fmt::format("{} seed {} {}; starting it again ({} of {})", run.variant, run.seed,
                               reason, restarts, options_.max_restarts));
    return Status();
  }

  Status TakeFailure(const Running& ended, const ProcessExit& exit, const std::string& reason) {
    const PlannedRun& run = runs_[ended.run];
    end_.exit_code = exit.signal == 0 ? exit.code : 1;
    const std::string tail = ReadLogTail(run.log_file(), kShownLogLines);
    end_.message = fmt::format("{} seed {} {}{}{}\n  whole log: {}", run.variant, run.seed, reason,
                               tail.empty() ? "" : ":\n", tail, run.log_file().string());
    StopRuns();
    json entry = Entry("failed", ended.run);
    entry["reason"] = reason;
    entry["exit_code"] = end_.exit_code;
    entry["log_tail"] = tail;
    return Record(std::move(entry));
  }

  Standing CurrentStanding() const {
    Standing standing;
    standing.done = scheduler_.done_count();
    standing.total = scheduler_.run_count();
    standing.slots = options_.slots;
    if (finished_count_ > 0) {
      standing.mean_run_seconds = finished_seconds_ / static_cast<double>(finished_count_);
    }
    for (const Running& running : running_) {
      // A run that takes longer than the others must not count as negative work.
      standing.running_seconds += std::min(running.watch.seconds(), standing.mean_run_seconds);
    }
    return standing;
  }

  void ShowLive() {
    if (!display_.has_live_line()) return;
    std::vector<RunningRun> shown;
    for (const Running& running : running_) {
      const PlannedRun& run = runs_[running.run];
      shown.push_back({run.variant, run.seed, running.watch.seconds()});
    }
    display_.ShowLive(FormatLive(shown, CurrentStanding(), display_.columns() - 1));
  }

  const std::vector<PlannedRun>& runs_;
  const SweepOptions& options_;
  const BlockedSignals& signals_;
  Journal& journal_;
  ProgressDisplay& display_;
  Scheduler scheduler_;
  std::vector<Running> running_;
  std::optional<Stopwatch> stop_watch_;  // since the workers were told to stop
  SweepEnd end_;
  std::size_t variant_width_ = 0;
  double finished_seconds_ = 0;
  std::size_t finished_count_ = 0;
};

}  // namespace

Result<SweepEnd> RunSweep(const std::vector<PlannedRun>& runs, const SweepOptions& options,
                          const BlockedSignals& signals, Journal& journal,
                          ProgressDisplay& display) {
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
  return Session(runs, std::move(done), options, signals, journal, display).Run();
}

}  // namespace dcn::sweep
