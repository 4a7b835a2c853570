// Runs a program and gathers what it said: for tests of whole programs.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <sys/types.h>
#include <vector>

namespace dcn::testing {

struct CommandResult {
  int exit_code = -1;  // -1: ended by `signal`
  int signal = 0;
  std::string out;  // stdout
  std::string err;  // stderr
};

/// Runs arguments[0] with the rest, stdin empty, and waits for its end. A program that is still
/// running at the deadline is killed, and the test fails.
CommandResult RunCommand(const std::vector<std::string>& arguments,
                         std::chrono::seconds deadline = std::chrono::seconds(120));

/// A program of build/bin, from the environment that ctest sets (DCN_BIN_DIR).
std::string BuiltProgram(const std::string& name);

/// A program that runs beside the test; killed at the end if it still runs.
class RunningCommand {
 public:
  /// Its stderr goes to the file `log`, stdout to nowhere.
  RunningCommand(const std::vector<std::string>& arguments, const std::filesystem::path& log);
  ~RunningCommand();
  RunningCommand(const RunningCommand&) = delete;
  RunningCommand& operator=(const RunningCommand&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  void Signal(int signal) const;
  [[nodiscard]] bool HasEnded() const;
  /// Waits until its stderr holds `text`; false where it ends first, or after a minute.
  [[nodiscard]] bool AwaitInLog(const std::string& text) const;
  /// Waits for its end; exit_code and signal as in CommandResult.
  CommandResult Wait();

 private:
  const std::filesystem::path log_;
  pid_t pid_;
  bool has_ended_ = false;
};

}  // namespace dcn::testing
