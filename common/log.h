// Logging goes through spdlog's default logger; programs set it up once, in main.
#pragma once

#include <string>
#include <string_view>

#include "common/status.h"

namespace dcn {

/// The levels from the most to the least, "trace, debug, …, off".
std::string LogLevels();

/// kInvalidArgument: `level` is none of SetUpLogging()'s; the message lists them.
Status CheckLogLevel(std::string_view level);

/// Makes the default logger write lines "<date> <time> <program> <level>: <text>" of `level` and
/// above to stderr, so that stdout stays the program's own output. program: who speaks, for example
/// "dcn_worker" or "dcn_worker[2]".
/// kInvalidArgument: as CheckLogLevel(); nothing is changed.
Status SetUpLogging(std::string_view program, std::string_view level);

}  // namespace dcn
