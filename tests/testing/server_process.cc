#include "tests/testing/server_process.h"

#include <chrono>
#include <stdexcept>
#include <thread>
#include <utility>

#include "tests/testing/temporary_folder.h"

namespace dcn::testing {

ServerProcess::ServerProcess(const std::filesystem::path& folder, const std::string& name,
                             std::vector<std::string> arguments, const std::string& listen,
                             const Wrapper& wrapper)
    : log_(folder / (name + ".log")) {
  const std::filesystem::path port_file = folder / (name + ".port");
  std::filesystem::remove(port_file);
  arguments.insert(arguments.begin(), BuiltProgram("dcn_ps"));
  arguments.insert(arguments.end(), {"--listen", listen, "--port-file", port_file});
  if (wrapper) arguments = wrapper(arguments);
  command_ = std::make_unique<RunningCommand>(arguments, log_);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!std::filesystem::exists(port_file)) {
    if (std::chrono::steady_clock::now() > deadline) {
      throw std::runtime_error("dcn_ps does not start: " + log());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  address_ = ReadText(port_file);
  if (!address_.ends_with('\n')) throw std::runtime_error("an unfinished line in " + address_);
  address_.pop_back();
}

std::uint16_t ServerProcess::port() const {
  return static_cast<std::uint16_t>(std::stoul(address_.substr(address_.rfind(':') + 1)));
}

CommandResult ServerProcess::Stop(int signal) {
  Signal(signal);
  return command_->Wait();
}

std::string ServerProcess::log() const { return ReadText(log_); }

}  // namespace dcn::testing
