#include "launch/sweep/run_processes.h"

#include <csignal>
#include <cstdint>
#include <string>
#include <utility>

#include "common/file/lock_file.h"
#include "launch/sweep/child_process.h"
#include "launch/sweep/log_tail.h"
#include "worker/export/step_file.h"

namespace dcn::sweep {

Result<pid_t> RunProcesses::Start(std::size_t run, bool is_continued, int restarts_left,
                                  const std::string& step_files) {
  const PlannedRun& planned = runs_.at(run);
  DCN_RETURN_IF_ERROR(MakeRunFolder(planned));
  DCN_ASSIGN_OR_RETURN(const FileDescriptor lock, LockFile(planned.lock_file()));
  DCN_RETURN_IF_ERROR(PrepareRun(planned));
  const std::vector<std::string> argv = RunArguments(command_, planned, restarts_left, step_files);
  DCN_RETURN_IF_ERROR(StartLog(planned.log_file(), argv, is_continued));
  DCN_ASSIGN_OR_RETURN(const pid_t process, StartProcess(argv, planned.log_file(), lock));
  running_.push_back({.run = run,
                      .process = process,
                      .watch = Stopwatch(),
                      .stall_watch = StallWatch(command_.stall_timeout)});
  // Without its number in the lock file, a later attempt cannot say which process it waits for.
  static_cast<void>(NameHolder(lock, process));
  return process;
}

void RunProcesses::AskToEnd() const {
  for (const Running& running : running_) SignalProcess(running.process, SIGTERM);
}

void RunProcesses::Kill() const {
  for (const Running& running : running_) SignalProcess(running.process, SIGKILL);
}

void RunProcesses::KillStalled(const StepFiles& step_files) {
  const auto since_look =
      std::chrono::milliseconds(static_cast<std::int64_t>(since_look_.Restart() * 1000));
  if (!command_.train_script.empty()) return;
  for (Running& running : running_) {
    const Result<output::StepReport> report =
        output::ReadStepFile(step_files.File(runs_.at(running.run), 0));
    const bool is_stalled =
        running.stall_watch.Take(report.ok() ? std::optional(*report) : std::nullopt, since_look);
    if (!is_stalled || std::exchange(running.is_stalled, true)) continue;
    SignalProcess(running.process, SIGKILL);
  }
}

std::optional<RunProcesses::Ended> RunProcesses::TakeEnded() {
  for (auto running = running_.begin(); running != running_.end(); ++running) {
    const std::optional<ProcessExit> exit = PollProcess(running->process);
    if (!exit) continue;
    const Ended ended{.run = running->run,
                      .exit = *exit,
                      .seconds = running->watch.seconds(),
                      .is_stalled = running->is_stalled && exit->signal == SIGKILL};
    running_.erase(running);
    return ended;
  }
  return std::nullopt;
}

Status RunProcesses::AwaitRelease(std::size_t run, std::chrono::milliseconds patience) const {
  return LockFile(runs_.at(run).lock_file(), patience).status();
}

}  // namespace dcn::sweep
