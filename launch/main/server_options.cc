#include "launch/main/server_options.h"

#include <utility>

#include <CLI/CLI.hpp>

#include "common/net/address.h"
#include "launch/main/command_line.h"
#include "launch/main/version.h"
#include "ps/message.h"

namespace dcn::launch {
namespace {

constexpr const char* kDescription =
    "A parameter server: holds embedding rows for the workers of one training job at a time.\n"
    "Ends on SIGTERM or SIGINT: exit code 0 when no job is held, 6 when one was interrupted.";
constexpr double kMaxLeaseSeconds = 1e6;

// For CLI11: what is wrong with an address; "" where nothing is.
std::string CheckAddress(const std::string& text) {
  return net::ParseAddress(text).status().message();
}

void AddOptions(CLI::App& app, ServerCommandOptions& options) {
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.add_option("--listen", options.listen,
                 "HOST:PORT to listen at; port 0: any free one. Beyond this machine only with "
                 "--token-file or --insecure")
      ->check(CLI::Validator(CheckAddress, "HOST:PORT"))
      ->capture_default_str();
  app.add_option("--shards", options.shards, "shards of this server, each with a thread")
      ->transform(WholeNumber(1, ps::kMaxShards))
      ->capture_default_str();
  app.add_option("--lease", options.lease_seconds,
                 "seconds for which a job that lost a worker keeps its memory")
      ->check(NumberIn(0, kMaxLeaseSeconds))
      ->capture_default_str();
  app.add_option("--token-file", options.token_file,
                 "file with the secret that clients must know; readable for its owner only");
  app.add_option("--checkpoint-root", options.checkpoint_root,
                 "folder below which jobs may have their checkpoints written; without it nowhere");
  app.add_flag("--insecure", options.is_insecure,
               "listen beyond this machine without a token: everybody there may use it");
  app.add_option("--port-file", options.port_file,
                 "file to write HOST:PORT to once the server listens, for scripts");
  app.add_option("--status", options.status,
                 "print what the server at HOST:PORT holds and does, and end")
      ->check(CLI::Validator(CheckAddress, "HOST:PORT"));
  AddLogLevelOption(app, options.log_level);
}

}  // namespace

Result<ServerCommand> ParseServerOptions(int argc, const char* const* argv) {
  ServerCommandOptions options;
  CLI::App app(kDescription, "dcn_ps");
  app.set_version_flag("--version", VersionText("dcn_ps"));
  AddOptions(app, options);
  DCN_ASSIGN_OR_RETURN(std::string text, ParseCommandLine(app, argc, argv));
  if (!text.empty()) return ServerCommand(std::move(text));
  return ServerCommand(std::move(options));
}

}  // namespace dcn::launch
