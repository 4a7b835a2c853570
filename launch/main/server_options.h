// The options of dcn_ps: from the command line, and from a TOML file under the same names.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "common/status.h"

namespace dcn::launch {

struct ServerCommandOptions {
  std::string listen = "127.0.0.1:7070";  // HOST:PORT
  std::uint32_t shards = 1;
  double lease_seconds = 300;
  std::string token_file;       // empty: no token
  std::string checkpoint_root;  // below which jobs may have checkpoints written; empty: nowhere
  bool is_insecure = false;
  std::string port_file;  // empty: none
  std::string status;     // HOST:PORT of a server to ask; empty: be a server
  std::string log_level = "info";
};

/// What the command line asks for: to run with these options, or to print a text and end well.
using ServerCommand = std::variant<ServerCommandOptions, std::string>;

/// Reads the command line and the file of --config, if any; the command line wins.
/// kInvalidArgument: the option, its value and what is valid.
[[nodiscard]] Result<ServerCommand> ParseServerOptions(int argc, const char* const* argv);

}  // namespace dcn::launch
