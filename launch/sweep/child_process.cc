#include "launch/sweep/child_process.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string_view>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/check.h"
#include "common/file/file_descriptor.h"
#include "launch/job/launcher.h"

namespace dcn::sweep {
namespace {

/// Lets the program have `held` (< 0: nothing) as kHeldDescriptor.
bool PassOn(int held) {
  if (held < 0) return true;
  if (held == kHeldDescriptor) return ::fcntl(held, F_SETFD, 0) == 0;
  return ::dup2(held, kHeldDescriptor) >= 0;
}

/// What the child does between fork and exec: system calls only. Writes errno to `report` when it
/// cannot become the program.
[[noreturn]] void BecomeProgram(char* const* argv, char* const* environment, int log, int held,
                                int report, pid_t parent) {
  // The mask is inherited through exec; the program shall be stoppable.
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);  // it died before the line above
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null >= 0 && ::dup2(null, STDIN_FILENO) >= 0 && ::dup2(log, STDOUT_FILENO) >= 0 &&
      ::dup2(log, STDERR_FILENO) >= 0 && PassOn(held)) {
    ::execve(argv[0], argv, environment);
  }
  const int error = errno;
  [[maybe_unused]] const ssize_t written = ::write(report, &error, sizeof(error));
  ::_exit(127);
}

/// This process' environment for a program of its own: without what makes it a rank of an MPI job
/// that this one may be started in. Points into the environment itself; ends with a null.
std::vector<char*> ChildEnvironment() {
  std::vector<char*> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const bool is_rank = std::ranges::any_of(job::kRankVariables, [&](std::string_view name) {
      return text.substr(0, text.find('=')) == name;
    });
    if (!is_rank) variables.push_back(*variable);
  }
  variables.push_back(nullptr);
  return variables;
}

/// errno of the child's failed exec; 0 once the exec has closed the pipe.
int ReadExecError(int report) {
  int error = 0;
  ssize_t size = 0;
  do {
    size = ::read(report, &error, sizeof(error));
  } while (size < 0 && errno == EINTR);
  return size == static_cast<ssize_t>(sizeof(error)) ? error : 0;
}

}  // namespace

BlockedSignals::BlockedSignals() {
  sigemptyset(&waited_for_);
  for (const int signal : {SIGCHLD, SIGINT, SIGTERM, SIGHUP}) sigaddset(&waited_for_, signal);
  DCN_CHECK_EQ(::pthread_sigmask(SIG_BLOCK, &waited_for_, &previous_), 0);
}

BlockedSignals::~BlockedSignals() { ::pthread_sigmask(SIG_SETMASK, &previous_, nullptr); }

int BlockedSignals::Wait(std::chrono::milliseconds timeout) const {
  timespec limit{};
  limit.tv_sec = static_cast<time_t>(timeout.count() / 1000);
  limit.tv_nsec = static_cast<long>(timeout.count() % 1000) * 1'000'000;
  const int signal = ::sigtimedwait(&waited_for_, nullptr, &limit);
  return std::max(signal, 0);
}

Result<pid_t> StartProcess(const std::vector<std::string>& argv, const std::filesystem::path& log,
                           const FileDescriptor& held) {
  DCN_CHECK(!argv.empty());
  FileDescriptor log_file(::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  if (!log_file.is_open()) {
    return FileError(OpenErrorCode(errno), "cannot open the log", log, errno);
  }
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return Error(StatusCode::kInternal, "cannot make a pipe: {}", std::strerror(errno));
  }
  FileDescriptor report_read(ends[0]);
  FileDescriptor report_write(ends[1]);
  std::vector<char*> pointers;
  for (const std::string& argument : argv) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  const std::vector<char*> environment = ChildEnvironment();

  const pid_t self = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) {
    return Error(StatusCode::kInternal, "cannot start {}: {}", argv[0], std::strerror(errno));
  }
  if (child == 0) {
    BecomeProgram(pointers.data(), environment.data(), log_file.get(), held.get(),
                  report_write.get(), self);
  }
  // Also here: the group must exist before it can be signalled.
  ::setpgid(child, child);
  report_write.Close();
  if (const int error = ReadExecError(report_read.get()); error != 0) {
    ::waitpid(child, nullptr, 0);
    return Error(StatusCode::kInvalidArgument, "cannot execute {}: {}", argv[0],
                 std::strerror(error));
  }
  return child;
}

std::optional<ProcessExit> PollProcess(pid_t process) {
  int state = 0;
  const pid_t ended = ::waitpid(process, &state, WNOHANG);
  DCN_CHECK_GE(ended, 0);
  if (ended == 0) return std::nullopt;
  if (WIFSIGNALED(state)) return ProcessExit{.code = 0, .signal = WTERMSIG(state)};
  return ProcessExit{.code = WEXITSTATUS(state), .signal = 0};
}

void SignalProcess(pid_t process, int signal) {
  ::kill(signal == SIGKILL ? process : -process, signal);
}

}  // namespace dcn::sweep
