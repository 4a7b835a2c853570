#include "tests/fault/proxied_run.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>
#include <unistd.h>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "tests/fault/repeat_command.h"
#include "tests/testing/command.h"
#include "tests/testing/distributed_run.h"
#include "tests/testing/process_search.h"

namespace dcn::testing {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kRunLimit = 240s;

// "VmHWM:     1234 kB" of /proc/PID/status, in bytes; 0 where the process is gone.
std::size_t MostMemory(pid_t process) {
  std::ifstream file(fmt::format("/proc/{}/status", process));
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("VmHWM:")) return 1024 * std::stoull(line.substr(6));
  }
  return 0;
}

std::size_t Descriptors(pid_t process) {
  const std::filesystem::directory_iterator all(fmt::format("/proc/{}/fd", process));
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

}  // namespace

ProxiedRun::ProxiedRun()
    : seed_(Seed()),
      length_(NumberFrom("DCN_FAULT_LENGTH", 1)),
      job_(fmt::format("proxy-test-{}-{}", ::getpid(), Clock::now().time_since_epoch().count())) {}

ProxiedRun::~ProxiedRun() { EXPECT_TRUE(AwaitNoProcess(job_)); }

void ProxiedRun::StartServers() {
  proxies_.clear();
  servers_.clear();
  for (std::size_t i = 0; i < kServers; ++i) {
    servers_.push_back(std::make_unique<ServerProcess>(
        folder_.path(), fmt::format("server{}", i),
        std::vector<std::string>{"--shards", std::to_string(kShards)}));
  }
}

RunEnd ProxiedRun::RunThrough(RunSize size, const ServerPlan& plan) {
  StartServers();
  std::vector<std::string> addresses;
  for (std::size_t i = 0; i < kServers; ++i) {
    proxies_.push_back(std::make_unique<TcpProxy>(
        servers_[i]->port(), [plan, i](const ProxiedFrame& frame) { return plan(i, frame); }));
    addresses.push_back(proxies_.back()->address());
  }
  std::vector<std::size_t> descriptors;
  for (const auto& server : servers_) descriptors.push_back(Descriptors(server->pid()));
  const RunEnd end = Run(size, kRanks, addresses);
  for (std::size_t i = 0; i < kServers; ++i) {
    ExpectNoMoreDescriptors(i, descriptors[i]);
  }
  return end;
}

RunEnd ProxiedRun::RunDirectly(RunSize size) {
  std::vector<std::string> addresses;
  for (const auto& server : servers_) addresses.push_back(server->address());
  return Run(size, kRanks, addresses);
}

std::string ProxiedRun::Oracle(RunSize size) { return Run(size, 0, {}).digest; }

RunEnd ProxiedRun::Run(RunSize size, int ranks, const std::vector<std::string>& servers) {
  const std::string out = folder_.path() / "out";
  std::filesystem::remove_all(out);
  std::vector<std::string> arguments = {"--data",       "synthetic-small",
                                        "--batch-size", std::to_string(size.batch_size),
                                        "--slice-rows", "128",
                                        "--epochs",     "100000",
                                        "--max-steps",  std::to_string(size.steps),
                                        "--threads",    "1",
                                        "--job",        job_,
                                        "--output",     out};
  if (!servers.empty()) {
    arguments.insert(arguments.end(), {"--servers", fmt::format("{}", fmt::join(servers, ","))});
  }
  const std::string log = folder_.path() / "run.log";
  const auto start = Clock::now();
  RunningCommand run(WorkerCommandLine(ranks, arguments), log);
  RunEnd end;
  while (!run.HasEnded()) {
    if (Clock::now() - start > kRunLimit) run.Signal(SIGKILL);
    for (const FoundProcess& found : FindProcesses(job_)) {
      const pid_t process = found.pid;
      end.worker_memory = std::max(end.worker_memory, MostMemory(process));
    }
    std::this_thread::sleep_for(20ms);
  }
  EXPECT_EQ(run.Wait().exit_code, 0) << ReadText(log);
  for (const auto& server : servers_) {
    end.server_memory = std::max(end.server_memory, MostMemory(server->pid()));
  }
  const auto result = nlohmann::json::parse(ReadText(out + "/result.json"), nullptr, false);
  if (!result.is_discarded()) end.digest = result["parameter_digest"];
  fmt::print("{} steps of {} rows took {:.2f} s\n", size.steps, size.batch_size,
             std::chrono::duration<double>(Clock::now() - start).count());
  return end;
}

void ProxiedRun::ExpectNoMoreDescriptors(std::size_t server, std::size_t before) const {
  const auto deadline = Clock::now() + 10s;
  while (Descriptors(servers_[server]->pid()) > before) {
    if (Clock::now() > deadline) FAIL() << "server " << server << " keeps connections";
    std::this_thread::sleep_for(5ms);
  }
}

std::map<std::string, std::uint64_t> ProxiedRun::Refused() const {
  std::map<std::string, std::uint64_t> refused;
  for (const auto& server : servers_) {
    const std::string status =
        RunCommand({BuiltProgram("dcn_ps"), "--status", server->address()}).out;
    const std::size_t line = status.find("\nrefused ");
    EXPECT_NE(line, std::string::npos) << status;
    std::istringstream words(status.substr(line, status.find('\n', line + 1) - line));
    std::string reason;
    words >> reason;
    std::uint64_t count = 0;
    for (char comma = 0; words >> reason >> count; words >> comma) refused[reason] += count;
  }
  return refused;
}

ProxyCounts ProxiedRun::Counts() const {
  ProxyCounts sum;
  for (const auto& proxy : proxies_) {
    const ProxyCounts counts = proxy->counts();
    sum.connections += counts.connections;
    sum.cuts += counts.cuts;
    sum.held_back += counts.held_back;
    sum.repeated += counts.repeated;
    sum.flips_to_server += counts.flips_to_server;
    sum.flips_to_client += counts.flips_to_client;
    sum.flips_refused += counts.flips_refused;
  }
  return sum;
}

}  // namespace dcn::testing
