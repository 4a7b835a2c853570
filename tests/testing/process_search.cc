#include "tests/testing/process_search.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <unistd.h>

namespace dcn::testing {
namespace {

// Empty: the process has just ended.
std::vector<std::string> ReadArguments(const std::filesystem::path& process) {
  std::ifstream file(process / "cmdline", std::ios::binary);
  std::ostringstream bytes;  // an iterator would throw where the file cannot be read any more
  bytes << file.rdbuf();
  std::istringstream words(bytes.str());
  std::vector<std::string> arguments;
  for (std::string word; std::getline(words, word, '\0');) arguments.push_back(word);
  return arguments;
}

}  // namespace

std::vector<FoundProcess> FindProcesses(const std::string& text) {
  std::vector<FoundProcess> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc() || pid == ::getpid()) continue;
    std::vector<std::string> arguments = ReadArguments(entry.path());
    const bool has_text = std::ranges::any_of(arguments, [&](const std::string& argument) {
      return argument.find(text) != std::string::npos;
    });
    if (!has_text) continue;
    std::string program = std::filesystem::path(arguments.front()).filename();
    found.push_back({pid, std::move(program), std::move(arguments)});
  }
  return found;
}

bool AwaitNoProcess(const std::string& text) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!FindProcesses(text).empty()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

}  // namespace dcn::testing
