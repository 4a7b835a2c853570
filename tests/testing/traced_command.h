// Programs under strace, for faults at chosen system calls: which calls a program makes on its
// files, and a kill, an error or a hang at one of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <sys/types.h>
#include <vector>

namespace dcn::testing {

/// Why strace cannot trace here; empty where it can.
std::string WhyNoTracing();

/// A call of a program on a file: the nth of one of its threads on that path.
struct FileCall {
  std::string name;  // "fsync"
  std::string path;  // kOwnProcess stands for the program's own number
  int nth = 1;
  friend auto operator<=>(const FileCall&, const FileCall&) = default;
};

inline constexpr const char* kOwnProcess = "{pid}";

/// `command`, tracing into the file `trace` what it does to files. The command keeps the process
/// number, the exit code and the signal that it has without strace.
std::vector<std::string> TracedCommand(const std::filesystem::path& trace,
                                       const std::vector<std::string>& command);

/// A call as a trace has it.
struct TracedCall {
  FileCall call;
  std::string thread;     // its number
  std::string target;     // of a rename
  std::string arguments;  // as strace writes them, data shortened
  std::size_t begin = 0;  // where in the trace it began and had returned
  std::size_t end = SIZE_MAX;
  bool has_succeeded = false;
};

/// All calls in such a trace that change something at or below `folder`, or open it, in the order
/// in which they began.
std::vector<TracedCall> ReadFileCalls(const std::filesystem::path& trace,
                                      const std::filesystem::path& folder);

/// `command`, killed (SIGKILL) on its way into the call, before anything of it is done.
std::vector<std::string> CommandKilledAt(const FileCall& call,
                                         const std::vector<std::string>& command);

/// `command`, with all calls of that name on that path failing, undone. error: "EIO". call.nth is
/// of no matter.
std::vector<std::string> CommandFailingAt(const FileCall& call, const std::string& error,
                                          const std::vector<std::string>& command);

/// `command`, with all calls of that name on that path hanging until EndTracing. call.nth is of no
/// matter. The command has exited once HasExited says so; its parent learns it after EndTracing.
std::vector<std::string> CommandHangingAt(const FileCall& call,
                                          const std::vector<std::string>& command);

/// The process that traces `process`; 0: none does.
pid_t TracerOf(pid_t process);
/// Ends a tracer: what it traces goes on without it, calls that hang, too.
void EndTracing(pid_t tracer);

/// Whether the process is gone, or waits for nothing but for its parent or its tracer to notice.
bool HasExited(pid_t process);
/// Waits for that; fails the test after a minute.
void AwaitExit(pid_t process);

}  // namespace dcn::testing

/// Skips the current test, loudly, where there is no tracing.
#define DCN_SKIP_WITHOUT_TRACING()                                                  \
  if (const std::string dcn_why = ::dcn::testing::WhyNoTracing(); !dcn_why.empty()) \
  GTEST_SKIP() << dcn_why
