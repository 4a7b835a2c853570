// Programs started as children of this one: their output goes to a file, they never outlive it,
// and their end is a signal that the caller waits for together with SIGINT and SIGTERM.
#pragma once

#include <chrono>
#include <csignal>
#include <filesystem>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include "common/file/file_descriptor.h"
#include "common/status.h"
#include "launch/sweep/process_exit.h"

namespace dcn::sweep {

/// Blocks SIGCHLD, SIGINT, SIGTERM and SIGHUP in this thread, and in those it starts later, so
/// that they can be waited for instead of interrupting. The destructor restores.
class BlockedSignals {
 public:
  BlockedSignals();
  ~BlockedSignals();
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

  /// The next of these signals, 0 when none came within `timeout`.
  int Wait(std::chrono::milliseconds timeout) const;

 private:
  sigset_t waited_for_;
  sigset_t previous_;
};

/// Starts argv[0] (a path) with stdin from /dev/null and stdout and stderr appended to `log`, in a
/// process group of its own (a Ctrl-C reaches this program only, which then decides). The kernel
/// kills it when the calling thread ends, however that happens: call from the main thread. Its
/// environment is this process', without what would make it a rank of an MPI job that this one is
/// in (launch/job/launcher.h). held: a descriptor, such as a lock, that the program has as
/// kHeldDescriptor and all that it starts inherits; a closed one: none.
/// kInvalidArgument: the log cannot be opened, or argv[0] cannot be executed. kInternal: no
/// process could be made.
Result<pid_t> StartProcess(const std::vector<std::string>& argv, const std::filesystem::path& log,
                           const FileDescriptor& held = FileDescriptor());

/// Above those that shells open for themselves.
inline constexpr int kHeldDescriptor = 200;

/// How `process`, a child, has ended; nothing while it runs. Does not wait; after its end, once.
std::optional<ProcessExit> PollProcess(pid_t process);

/// Sends `signal` to the process group that StartProcess() made. SIGKILL is for the process alone:
/// what it has started in turn watches it and ends in good order (launch/keep.sh).
void SignalProcess(pid_t process, int signal);

}  // namespace dcn::sweep
