// Runs an installed tool (curl, unzip, md5sum) and waits for it. No shell is involved: arguments
// reach the tool as they are.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "common/status.h"

namespace dcn::launch {

/// How a tool ended.
struct ToolResult {
  int exit_code = 0;   // 128 + the signal's number where one ended it
  std::string output;  // of stdout, where it was captured
};

/// What becomes of the tool's stdout; stderr is this program's.
enum class ToolOutput { kInherited, kCaptured };

/// Runs argv[0], found through PATH, with stdin from `input`.
/// kInternal: it is not installed, `input` cannot be opened, or no process could be made.
Result<ToolResult> RunTool(const std::vector<std::string>& argv, ToolOutput output,
                           const std::filesystem::path& input = "/dev/null");

}  // namespace dcn::launch
