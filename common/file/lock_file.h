// A file that one process, or one process and what it has started, holds locked.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <sys/types.h>

#include "common/file/file_descriptor.h"
#include "common/status.h"

namespace dcn {

/// Locks `file`, which is made where it is missing. The kernel lets go of the lock when the last
/// process that has the descriptor, or inherited it, is gone, however it ended.
/// kUnavailable: somebody else holds it; the message is only "process N". kInvalidArgument,
/// kInternal: it cannot be opened or locked.
Result<FileDescriptor> LockFile(const std::filesystem::path& file);

/// LockFile(), once more every few milliseconds for as long as somebody else holds the lock, until
/// `patience` is over.
Result<FileDescriptor> LockFile(const std::filesystem::path& file,
                                std::chrono::milliseconds patience);

/// Writes into a lock who holds it, for the message of others. kInternal: not written.
Status NameHolder(const FileDescriptor& lock, pid_t process);

}  // namespace dcn
