#include "benchmarks/server_child.h"

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <spawn.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "common/net/address.h"
#include "common/net/blocking_connection.h"
#include "ps/message.h"

extern char** environ;

namespace dcn::benchmarks {

ServerChild::ServerChild(std::uint32_t shards) {
  // build/benchmarks/bin/<benchmark> -> build/bin/dcn_ps
  const auto own = std::filesystem::read_symlink("/proc/self/exe");
  const std::string program = own.parent_path().parent_path().parent_path() / "bin" / "dcn_ps";
  const std::filesystem::path port_file = folder_.path() / "port";
  std::vector<std::string> arguments = {program,       "--shards",    std::to_string(shards),
                                        "--port-file", port_file,     "--listen",
                                        "127.0.0.1:0", "--log-level", "warning"};
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  if (::posix_spawn(&pid_, program.c_str(), nullptr, nullptr, pointers.data(), environ) != 0) {
    throw CheckError("cannot start " + program);
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!std::filesystem::exists(port_file)) {
    if (std::chrono::steady_clock::now() > deadline) throw CheckError(program + " does not start");
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  std::getline(std::ifstream(port_file), address_);
}

ServerChild::~ServerChild() {
  ::kill(pid_, SIGTERM);
  ::waitpid(pid_, nullptr, 0);
}

std::size_t ServerChild::rows() const {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  net::BlockingConnection connection = ValueOrThrow(
      net::BlockingConnection::Connect(ValueOrThrow(net::ParseAddress(address_)), deadline));
  const auto ask = [&](ps::MessageType type, const ps::Body& body) {
    ThrowIfError(connection.SendFrame({.type = static_cast<std::uint16_t>(type), .request_id = 1},
                                      body, deadline));
    return ValueOrThrow(connection.ReceiveFrame(2 * ps::kMaxTextBytes, deadline)).body;
  };
  ps::Body hello;
  ps::Encode(ps::Hello{.role = ps::Role::kObserver, .job = {}, .token = {}}, hello);
  ask(ps::MessageType::kHello, hello);
  const ps::Body answer = ask(ps::MessageType::kQueryStatus, {});
  const auto status = nlohmann::json::parse(ValueOrThrow(ps::DecodeText(answer)));
  std::size_t rows = 0;
  for (const auto& table : status.at("tables")) rows += table.at("rows").get<std::size_t>();
  return rows;
}

std::size_t ServerChild::resident_bytes() const {
  std::ifstream file(fmt::format("/proc/{}/statm", pid_));
  std::size_t size = 0;
  std::size_t resident = 0;
  file >> size >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace dcn::benchmarks
