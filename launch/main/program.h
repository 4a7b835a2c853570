// What every program's main() does: runs it, says on stderr why it failed, and gives the exit code.
#pragma once

#include <csignal>
#include <cstdio>
#include <exception>
#include <string_view>

#include <fmt/core.h>

#include "common/status.h"
#include "launch/main/exit_code.h"

namespace dcn::launch {

/// Says "NAME: message" on stderr. Returns the exit code of the status.
inline int Fail(std::string_view name, const Status& status) {
  fmt::print(stderr, "{}: {}\n", name, status.message());
  return ToExitCode(status.code());
}

/// The exit code of `body(argc, argv)`; an exception is a bug, and ends in kExitFailed. A file that
/// grows past the limit of this process (ulimit -f) is an error of its write, no deadly signal.
inline int RunProgram(std::string_view name, int (*body)(int argc, char** argv), int argc,
                      char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    return body(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: internal error: {}\n", name, error.what());
    return kExitFailed;
  }
}

}  // namespace dcn::launch
