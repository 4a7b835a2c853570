// A small file, read whole.
//
// A mapped file (mapped_file.h) that its disk cannot give, or that is cut short meanwhile, is a
// deadly signal; here it is an error, or a shorter text.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include "common/status.h"

namespace dcn {

/// The bytes of a regular file, as many as there are when they are read.
/// kNotFound: there is no such file. kInvalidArgument: a folder or another non-file, or access
/// denied. kOutOfRange: it has more than `limit` bytes. kDataLoss: the disk cannot give them (EIO).
/// kInternal: the system call failed otherwise.
[[nodiscard]] Result<std::string> ReadFile(const std::filesystem::path& path, std::size_t limit);

}  // namespace dcn
