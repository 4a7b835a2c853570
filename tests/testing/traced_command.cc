#include "tests/testing/traced_command.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <map>
#include <optional>
#include <string_view>
#include <thread>
#include <tuple>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/testing/command.h"

namespace dcn::testing {
namespace {

// What a program does to files that can be seen afterwards; openat, since it makes some.
constexpr const char* kCalls =
    "openat,write,writev,pwrite64,pwritev,pwritev2,ftruncate,fsync,rename,mkdir,unlink,unlinkat,"
    "rmdir";

// For a shell; kOwnProcess becomes the shell's own number, which is the command's.
std::string Quote(const std::string& text) {
  std::string quoted = "'" + text + "'";
  const std::string_view own = kOwnProcess;
  const std::size_t place = quoted.find(own);
  if (place != std::string::npos) quoted.replace(place, own.size(), "'$$'");
  return quoted;
}

// strace as a grandchild (-D), so that the command is the process that is started. A sanitizer's
// search for leaks traces, too, and cannot where strace does.
std::vector<std::string> UnderStrace(const std::string& options,
                                     const std::vector<std::string>& command) {
  std::vector<std::string> all = {
      "sh", "-c",
      "export ASAN_OPTIONS=\"$ASAN_OPTIONS:detect_leaks=0\"; exec strace -D -f -qq " + options +
          " \"$@\"",
      "sh"};
  all.insert(all.end(), command.begin(), command.end());
  return all;
}

std::vector<std::string> WithFault(const FileCall& call, const std::string& fault,
                                   const std::vector<std::string>& command) {
  return UnderStrace(fmt::format("-o /dev/null -e trace={0} -P {1} -e inject={0}:{2}", call.name,
                                 Quote(call.path), fault),
                     command);
}

// The path that a call is about: of its descriptor, which strace -y names in <>, else its first
// argument in quotation marks. openat's folder is not it.
std::optional<std::string> PathIn(std::string_view name, std::string_view arguments) {
  std::size_t begin = arguments.find('<');
  const std::size_t quoted = arguments.find('"');
  if (name == "openat" || quoted < begin) begin = quoted;
  if (begin == std::string_view::npos) return std::nullopt;
  const std::size_t end = arguments.find(arguments[begin] == '<' ? '>' : '"', begin + 1);
  if (end == std::string_view::npos) return std::nullopt;
  return std::string(arguments.substr(begin + 1, end - begin - 1));
}

// The other path of a rename.
std::string SecondPathIn(std::string_view arguments) {
  const std::size_t end = arguments.rfind('"');
  if (end == std::string_view::npos || end == 0) return {};
  const std::size_t begin = arguments.rfind('"', end - 1);
  if (begin == std::string_view::npos) return {};
  return std::string(arguments.substr(begin + 1, end - begin - 1));
}

// Of a line of a trace that has the call's result: "-1" is a failure, "?" one that never returned.
bool HasSucceeded(std::string_view line) {
  const std::size_t result = line.rfind(" = ");
  if (result == std::string_view::npos) return false;
  const std::string_view value = line.substr(result + 3);
  return !value.starts_with('-') && !value.starts_with('?');
}

// The beginning of a call on a path, from its name on: "fsync(4</a/b>) = 0". Ends of threads
// ("+++") are none.
std::optional<TracedCall> ParseCall(std::string_view line) {
  const std::size_t bracket = line.find('(');
  if (bracket == std::string_view::npos || line.starts_with('+')) return std::nullopt;
  TracedCall call;
  call.call.name = line.substr(0, bracket);
  call.arguments = line.substr(bracket);
  std::optional<std::string> path = PathIn(call.call.name, call.arguments);
  if (!path) return std::nullopt;
  call.call.path = *std::move(path);
  if (call.call.name == "rename") call.target = SecondPathIn(call.arguments);
  return call;
}

std::string WithOwnNumber(std::string path, const std::string& own) {
  const std::string number = "." + own + ".";
  if (const std::size_t place = path.find(number); place != std::string::npos) {
    path.replace(place, number.size(), fmt::format(".{}.", kOwnProcess));
  }
  return path;
}

// Microseconds; an hour: longer than any test takes.
constexpr const char* kForEver = "3600000000";

// What /proc says of a process; empty: it is gone.
std::string StatusField(pid_t process, std::string_view name) {
  std::ifstream file(fmt::format("/proc/{}/status", process));
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(name)) continue;
    return line.substr(std::min(line.find_first_not_of(" \t", name.size()), line.size()));
  }
  return {};
}

bool IsWithin(const std::string& path, const std::string& folder) {
  return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

}  // namespace

std::string WhyNoTracing() {
  const CommandResult result = RunCommand(UnderStrace("-o /dev/null", {"true"}));
  if (result.exit_code == 0) return {};
  return "strace cannot trace here: " + result.err;
}

std::vector<std::string> TracedCommand(const std::filesystem::path& trace,
                                       const std::vector<std::string>& command) {
  return UnderStrace(fmt::format("-y -s 256 -o {} -e trace={}", Quote(trace), kCalls), command);
}

std::vector<TracedCall> ReadFileCalls(const std::filesystem::path& trace,
                                      const std::filesystem::path& folder) {
  std::ifstream file(trace);
  std::string own;  // the first thread's number is the program's
  std::map<std::tuple<std::string, std::string, std::string>, int> counts;  // by thread, call, path
  std::map<std::string, std::size_t> unfinished;  // by thread, the place in `calls`
  std::vector<TracedCall> calls;
  std::size_t place = 0;
  for (std::string line; std::getline(file, line); ++place) {
    const std::size_t blank = line.find(' ');
    const std::size_t begin = line.find_first_not_of(' ', blank);
    if (begin == std::string::npos) continue;
    const std::string thread = line.substr(0, blank);
    if (own.empty()) own = thread;
    if (line[begin] == '<') {  // the second half of a call: "<... fsync resumed>) = 0"
      const auto first_half = unfinished.find(thread);
      if (first_half == unfinished.end()) continue;
      calls[first_half->second].end = place;
      calls[first_half->second].has_succeeded = HasSucceeded(line);
      unfinished.erase(first_half);
      continue;
    }
    std::optional<TracedCall> call = ParseCall(std::string_view(line).substr(begin));
    if (!call || !IsWithin(call->call.path, folder)) continue;
    call->call.path = WithOwnNumber(call->call.path, own);
    call->call.nth = ++counts[{thread, call->call.name, call->call.path}];
    call->thread = thread;
    call->begin = place;
    if (line.ends_with("<unfinished ...>")) {
      unfinished[thread] = calls.size();
    } else {
      call->end = place;
      call->has_succeeded = HasSucceeded(line);
    }
    calls.push_back(*std::move(call));
  }
  return calls;
}

std::vector<std::string> CommandKilledAt(const FileCall& call,
                                         const std::vector<std::string>& command) {
  return WithFault(call, fmt::format("signal=KILL:when={}", call.nth), command);
}

std::vector<std::string> CommandFailingAt(const FileCall& call, const std::string& error,
                                          const std::vector<std::string>& command) {
  return WithFault(call, "error=" + error, command);
}

std::vector<std::string> CommandHangingAt(const FileCall& call,
                                          const std::vector<std::string>& command) {
  return WithFault(call, fmt::format("delay_enter={}", kForEver), command);
}

pid_t TracerOf(pid_t process) {
  const std::string tracer = StatusField(process, "TracerPid:");
  return tracer.empty() ? 0 : static_cast<pid_t>(std::stol(tracer));
}

void EndTracing(pid_t tracer) { ::kill(tracer, SIGKILL); }

bool HasExited(pid_t process) {
  const std::string state = StatusField(process, "State:");
  return state.empty() || state.starts_with('Z') || state.starts_with('X');
}

void AwaitExit(pid_t process) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!HasExited(process)) {
    if (std::chrono::steady_clock::now() > deadline) {
      ADD_FAILURE() << "process " << process << " does not end";
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

}  // namespace dcn::testing
