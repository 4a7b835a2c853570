#include "tests/testing/command.h"

#include <array>
#include <cstdlib>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdexcept>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/testing/temporary_folder.h"

namespace dcn::testing {
namespace {

// Replaces this (child) process; the three descriptors become stdin, stdout and stderr.
[[noreturn]] void Execute(const std::vector<std::string>& arguments, int out, int err) {
  const int in = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::dup2(in, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  std::vector<char*> pointers;
  for (const std::string& argument : arguments) {
    pointers.push_back(const_cast<char*>(argument.c_str()));
  }
  pointers.push_back(nullptr);
  ::execvp(pointers[0], pointers.data());
  ::_exit(127);
}

std::array<int, 2> MakePipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
  return ends;
}

void DecodeStatus(int status, CommandResult& result) {
  if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
}

// Reads what is there; false at the end of the stream.
bool ReadSome(int descriptor, std::string& text) {
  std::array<char, 65536> buffer;
  const ssize_t count = ::read(descriptor, buffer.data(), buffer.size());
  if (count <= 0) return false;
  text.append(buffer.data(), static_cast<std::size_t>(count));
  return true;
}

}  // namespace

CommandResult RunCommand(const std::vector<std::string>& arguments, std::chrono::seconds deadline) {
  const auto out = MakePipe();
  const auto err = MakePipe();
  const pid_t child = ::fork();
  if (child == 0) Execute(arguments, out[1], err[1]);
  ::close(out[1]);
  ::close(err[1]);

  CommandResult result;
  const auto end = std::chrono::steady_clock::now() + deadline;
  std::array<pollfd, 2> streams = {{{out[0], POLLIN, 0}, {err[0], POLLIN, 0}}};
  std::array<std::string*, 2> texts = {&result.out, &result.err};
  while (streams[0].fd >= 0 || streams[1].fd >= 0) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    if (left.count() <= 0 || ::poll(streams.data(), 2, static_cast<int>(left.count())) == 0) {
      ADD_FAILURE() << arguments[0] << " did not end within " << deadline.count() << " s";
      ::kill(child, SIGKILL);
      break;
    }
    for (std::size_t i = 0; i < 2; ++i) {
      if (streams[i].fd < 0 || streams[i].revents == 0) continue;
      if (!ReadSome(streams[i].fd, *texts[i])) streams[i].fd = -1;
    }
  }
  ::close(out[0]);
  ::close(err[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  DecodeStatus(status, result);
  return result;
}

std::string BuiltProgram(const std::string& name) {
  const char* const folder = std::getenv("DCN_BIN_DIR");
  if (folder == nullptr) throw std::runtime_error("DCN_BIN_DIR is not set: run me through ctest");
  return std::string(folder) + "/" + name;
}

RunningCommand::RunningCommand(const std::vector<std::string>& arguments,
                               const std::filesystem::path& log)
    : log_(log) {
  const int out = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  const int err = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (out < 0 || err < 0) throw std::runtime_error("cannot open " + log.string());
  pid_ = ::fork();
  if (pid_ == 0) Execute(arguments, out, err);
  ::close(out);
  ::close(err);
}

RunningCommand::~RunningCommand() {
  if (has_ended_) return;
  Signal(SIGKILL);
  Wait();
}

void RunningCommand::Signal(int signal) const { ::kill(pid_, signal); }

bool RunningCommand::HasEnded() const {
  siginfo_t info{};
  return has_ended_ ||
         (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
          info.si_pid == pid_);
}

bool RunningCommand::AwaitInLog(const std::string& text) const {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (ReadText(log_).find(text) == std::string::npos) {
    if (HasEnded() || std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

CommandResult RunningCommand::Wait() {
  CommandResult result;
  int status = 0;
  ::waitpid(pid_, &status, 0);
  has_ended_ = true;
  DecodeStatus(status, result);
  return result;
}

}  // namespace dcn::testing
