#include "tests/testing/split_network.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <unistd.h>

#include <fmt/format.h>

#include "tests/testing/command.h"

namespace dcn::testing {
namespace {

constexpr const char* kPrefix = "dcn-test-";   // then the process that made it
constexpr const char* kFolder = "/run/netns";  // where `ip` keeps the names
constexpr const char* kRate = "40mbit";        // makes runs long enough to be cut

bool Has(const std::string& program) {
  return RunCommand({"sh", "-c", "command -v " + program}).exit_code == 0;
}

void Call(const std::string& command) {
  const CommandResult result = RunCommand({"sh", "-c", command});
  if (result.exit_code == 0) return;
  throw std::runtime_error(fmt::format("{}: {}", command, result.err));
}

void RemoveLeftOvers() {
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder, none)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(kPrefix)) continue;
    const int process = std::atoi(name.c_str() + std::string(kPrefix).size());
    const bool is_gone = process > 0 && ::kill(process, 0) != 0 && errno == ESRCH;
    if (is_gone) RunCommand({"ip", "netns", "del", name});
  }
}

std::string Name(const char* side) { return fmt::format("{}{}-{}", kPrefix, ::getpid(), side); }

}  // namespace

std::string SplitNetwork::WhyNot() {
  if (::geteuid() != 0) return "network namespaces need root";
  for (const char* program : {"ip", "tc"}) {
    if (!Has(program)) return fmt::format("{} is missing (iproute2)", program);
  }
  try {
    const SplitNetwork probe;
  } catch (const std::runtime_error& error) {
    return fmt::format("no network namespaces here: {}", error.what());
  }
  return {};
}

SplitNetwork::SplitNetwork()
    : servers_(Name("servers")), workers_(Name("workers")), router_(Name("router")) {
  RemoveLeftOvers();
  try {
    for (const std::string& name : {servers_, workers_, router_}) {
      Call(fmt::format("ip netns add {0} && ip -n {0} link set lo up", name));
    }
    Join(servers_, "10.213.1");
    Join(workers_, "10.213.2");
    Call(fmt::format("ip netns exec {} sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'", router_));
  } catch (const std::runtime_error&) {
    for (const std::string& name : {servers_, workers_, router_}) {
      RunCommand({"ip", "netns", "del", name});
    }
    throw;
  }
}

SplitNetwork::~SplitNetwork() {
  for (const std::string& name : {servers_, workers_, router_}) {
    RunCommand({"ip", "netns", "del", name});
  }
}

// A link between `name` (host 1, "uplink") and the router (host 2, named as the net).
void SplitNetwork::Join(const std::string& name, const std::string& net) {
  Call(fmt::format("ip link add uplink netns {} type veth peer name n{} netns {}", name, net,
                   router_));
  Call(fmt::format("ip -n {0} addr add {1}.1/24 dev uplink && ip -n {0} link set uplink up", name,
                   net));
  Call(fmt::format("ip -n {0} addr add {1}.2/24 dev n{1} && ip -n {0} link set n{1} up", router_,
                   net));
  Call(fmt::format("ip -n {} route add default via {}.2", name, net));
  Call(fmt::format("tc -n {} qdisc add dev n{} root tbf rate {} burst 64kb latency 400ms", router_,
                   net, kRate));
}

std::vector<std::string> SplitNetwork::At(const std::string& name) {
  return {"ip", "netns", "exec", name};
}

// The default route goes with the link.
void SplitNetwork::SetLink(bool is_up) {
  Call(fmt::format("ip -n {} link set uplink {}", servers_, is_up ? "up" : "down"));
  if (is_up) Call(fmt::format("ip -n {} route add default via 10.213.1.2", servers_));
}

void SplitNetwork::Lose(const std::string& host, bool is_lost) {
  Call(fmt::format("ip -n {} route {} blackhole {}/32", router_, is_lost ? "add" : "del", host));
}

}  // namespace dcn::testing
