// A dcn_ps beside a test.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/testing/command.h"

namespace dcn::testing {

class ServerProcess {
 public:
  /// Makes another command line of one: one that becomes the same process in the end.
  using Wrapper = std::function<std::vector<std::string>(const std::vector<std::string>&)>;

  /// Starts dcn_ps with `arguments` and waits until it listens. folder: where its log and its port
  /// file go, under `name`. Throws std::runtime_error where it does not come up within 30 s.
  ServerProcess(const std::filesystem::path& folder, const std::string& name,
                std::vector<std::string> arguments = {}, const std::string& listen = "127.0.0.1:0",
                const Wrapper& wrapper = nullptr);

  /// "HOST:PORT" as it is listened at.
  [[nodiscard]] const std::string& address() const { return address_; }
  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] pid_t pid() const { return command_->pid(); }
  void Signal(int signal) const { command_->Signal(signal); }
  /// Sends the signal and waits for the end.
  CommandResult Stop(int signal);
  /// What it has written to stderr.
  [[nodiscard]] std::string log() const;

 private:
  std::filesystem::path log_;
  std::unique_ptr<RunningCommand> command_;
  std::string address_;
};

}  // namespace dcn::testing
