// A shared secret from a file: never from the command line, which everybody on the machine can see.
#pragma once

#include <filesystem>
#include <string>

#include "common/status.h"

namespace dcn::launch {

/// The file's text without the line end behind it: 1 to 256 bytes.
/// kInvalidArgument: a file that cannot be read, is empty or too long, or that users other than its
/// owner can read; names the file, never what is in it.
[[nodiscard]] Result<std::string> ReadTokenFile(const std::filesystem::path& file);

}  // namespace dcn::launch
