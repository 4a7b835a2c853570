// The log of a run: the command that started it, then whatever the worker printed.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "common/status.h"

namespace dcn::sweep {

/// Writes the line "$ <argv>", quoted as a shell takes it. is_continued: adds to what is there
/// instead of beginning anew.
Status StartLog(const std::filesystem::path& log, const std::vector<std::string>& argv,
                bool is_continued);

/// The last lines of `log` that are not empty, at most `lines`, each indented by two blanks and cut
/// to 500 bytes; control characters are left out. Empty where the log has none or cannot be read.
std::string ReadLogTail(const std::filesystem::path& log, std::size_t lines);

}  // namespace dcn::sweep
