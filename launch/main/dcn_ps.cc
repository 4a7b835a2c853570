// dcn_ps: one parameter server process. server_options.cc lists what it takes.

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <variant>

#include <fmt/core.h>
#include <spdlog/spdlog.h>

#include "common/file/atomic_write.h"
#include "common/log.h"
#include "common/net/address.h"
#include "launch/main/exit_code.h"
#include "launch/main/program.h"
#include "launch/main/server_options.h"
#include "launch/main/server_status_text.h"
#include "launch/main/stop_signal.h"
#include "launch/main/token_file.h"
#include "ps/server/server.h"

namespace dcn::launch {
namespace {

constexpr const char* kName = "dcn_ps";

using namespace std::chrono_literals;

constexpr auto kSignalInterval = 50ms;   // how long a signal may wait
constexpr auto kStopTimeout = 5s;        // for the last answers
constexpr auto kStatusInterval = 500ms;  // over which --status measures rates
constexpr auto kStatusTimeout = 5s;

Status PrintStatus(const ServerCommandOptions& options, const std::string& token) {
  DCN_ASSIGN_OR_RETURN(const net::Address address, net::ParseAddress(options.status));
  DCN_ASSIGN_OR_RETURN(const std::string text,
                       QueryStatusText(address, token, kStatusInterval, kStatusTimeout));
  fmt::print("{}", text);
  return Status();
}

Result<std::unique_ptr<ps::Server>> StartServer(const ServerCommandOptions& options,
                                                std::string token) {
  const std::string& root = options.checkpoint_root;
  std::error_code error;
  if (!root.empty() && !std::filesystem::is_directory(root, error)) {
    return Error(StatusCode::kInvalidArgument,
                 "--checkpoint-root {}: {}; make the folder, or name another", root,
                 error ? error.message() : "it is not a folder");
  }
  ps::ServerOptions server_options;
  server_options.listen = options.listen;
  server_options.shards = options.shards;
  server_options.token = std::move(token);
  server_options.is_insecure = options.is_insecure;
  server_options.checkpoint_root = options.checkpoint_root;
  server_options.lease = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::duration<double>(options.lease_seconds));
  return ps::Server::Start(server_options);
}

// Serves until a signal comes or the server fails, then stops it.
Status Serve(ps::Server& server, StopSignal& stop) {
  while (!stop.AwaitRequest(kSignalInterval)) DCN_RETURN_IF_ERROR(server.failure());
  DCN_ASSIGN_OR_RETURN(const bool is_job_held, server.IsJobHeld());
  spdlog::info("{}: stopping", stop.name());
  const Status stopped = server.Stop(std::chrono::steady_clock::now() + kStopTimeout);
  if (!stopped.ok()) spdlog::warn("stopped without having sent everything: {}", stopped.message());
  if (!is_job_held) return Status();
  return Error(StatusCode::kCancelled, "stopped by {} while it held a job", stop.name());
}

Status Run(const ServerCommandOptions& options, StopSignal& stop) {
  std::string token;
  if (!options.token_file.empty()) {
    DCN_ASSIGN_OR_RETURN(token, ReadTokenFile(options.token_file));
  }
  if (!options.status.empty()) return PrintStatus(options, token);
  DCN_ASSIGN_OR_RETURN(const std::unique_ptr<ps::Server> server,
                       StartServer(options, std::move(token)));
  spdlog::info("listening at {}, {} shard{}", server->address(), server->shards(),
               server->shards() == 1 ? "" : "s");
  if (!options.port_file.empty()) {
    DCN_RETURN_IF_ERROR(WriteFileAtomically(options.port_file, server->address() + "\n"));
  }
  return Serve(*server, stop);
}

int Main(int argc, char** argv) {
  StopSignal stop;  // before any thread
  const Result<ServerCommand> command = ParseServerOptions(argc, argv);
  if (!command.ok()) return Fail(kName, command.status());
  if (const auto* text = std::get_if<std::string>(&*command)) {
    fmt::print("{}", *text);
    return kExitDone;
  }
  const auto& options = std::get<ServerCommandOptions>(*command);
  if (Status status = SetUpLogging(kName, options.log_level); !status.ok())
    return Fail(kName, status);
  const Status status = Run(options, stop);
  return status.ok() ? kExitDone : Fail(kName, status);
}

}  // namespace
}  // namespace dcn::launch

int main(int argc, char** argv) {
  return dcn::launch::RunProgram(dcn::launch::kName, dcn::launch::Main, argc, argv);
}
