// The processes of a run, found by what their command lines say.
#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

namespace dcn::testing {

struct FoundProcess {
  pid_t pid = 0;
  std::string program;                 // name of its file, or of the script's interpreter
  std::vector<std::string> arguments;  // the program's path first
};

/// Processes with an argument of which `text` is a part, but for this one.
std::vector<FoundProcess> FindProcesses(const std::string& text);

/// Waits until there is none; false: there still is after ten seconds.
bool AwaitNoProcess(const std::string& text);

}  // namespace dcn::testing
