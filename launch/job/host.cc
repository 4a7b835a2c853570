#include "launch/job/host.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sched.h>
#include <set>
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace dcn::job {
namespace {

// Of another process, or of this one (0). Empty where the kernel does not say.
std::vector<int> ProcessorsOf(pid_t process) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  std::vector<int> processors;
  if (sched_getaffinity(process, sizeof(mask), &mask) != 0) return processors;
  for (int processor = 0; processor < CPU_SETSIZE; ++processor) {
    if (CPU_ISSET(static_cast<std::size_t>(processor), &mask)) processors.push_back(processor);
  }
  return processors;
}

std::vector<int> Common(const std::vector<int>& a, const std::vector<int>& b) {
  std::vector<int> common;
  std::ranges::set_intersection(a, b, std::back_inserter(common));
  return common;
}

}  // namespace

std::string Host::ToText() const {
  return nlohmann::json{{"kernel", kernel},
                        {"network", network},
                        {"processors", processors},
                        {"launcher_processors", launcher_processors}}
      .dump();
}

Result<Host> Host::Parse(std::string_view text) {
  try {
    const auto json = nlohmann::json::parse(text);
    Host host;
    json.at("kernel").get_to(host.kernel);
    json.at("network").get_to(host.network);
    json.at("processors").get_to(host.processors);
    json.at("launcher_processors").get_to(host.launcher_processors);
    return host;
  } catch (const nlohmann::json::exception& error) {
    return Error(StatusCode::kUnavailable, "another rank's place makes no sense: {}", error.what());
  }
}

Host DescribeHost() {
  Host host;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> host.kernel;
  std::error_code ignored;
  host.network = std::filesystem::read_symlink("/proc/self/ns/net", ignored).string();
  host.processors = ProcessorsOf(0);
  host.launcher_processors = ProcessorsOf(::getppid());
  return host;
}

bool IsOneNetwork(std::span<const Host> hosts) {
  return std::ranges::all_of(hosts, [&](const Host& host) {
    return host.kernel == hosts[0].kernel && host.network == hosts[0].network;
  });
}

PlaceOnHost FindPlace(std::span<const Host> hosts, std::size_t rank) {
  const auto is_here = [&](const Host& host) { return host.kernel == hosts[rank].kernel; };
  return {.local_rank = static_cast<int>(std::ranges::count_if(hosts.first(rank), is_here)),
          .ranks = static_cast<int>(std::ranges::count_if(hosts, is_here))};
}

int ThreadsOf(std::span<const Host> hosts, std::size_t rank) {
  const Host& own = hosts[rank];
  const auto sharing = std::ranges::count_if(hosts, [&](const Host& host) {
    return host.kernel == own.kernel && !Common(host.processors, own.processors).empty();
  });
  const int processors = static_cast<int>(own.processors.size());
  return std::max(1, processors / std::max(1, static_cast<int>(sharing)));
}

std::optional<std::string> PinningAdvice(std::span<const Host> hosts, std::size_t rank) {
  const Host& own = hosts[rank];
  std::set<int> used;
  for (const Host& host : hosts) {
    if (host.kernel == own.kernel) used.insert(host.processors.begin(), host.processors.end());
  }
  const std::size_t available = own.launcher_processors.size();
  if (used.size() >= available) return std::nullopt;
  return fmt::format(
      "the ranks of this host are pinned to {} of its {} processors; mpirun --bind-to none lets "
      "them use all",
      used.size(), available);
}

}  // namespace dcn::job
