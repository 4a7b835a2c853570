// dcn_worker --inspect-checkpoint: whether a checkpoint is whole, and what it is.
#pragma once

#include <filesystem>
#include <string>

#include "common/status.h"

namespace dcn::launch {

/// folder: of one checkpoint, or of a job's, whose newest one is taken. Verifies every file.
/// kFailedPrecondition: there is none, or it is damaged: names file and place.
[[nodiscard]] Result<std::string> DescribeCheckpoint(const std::filesystem::path& folder);

}  // namespace dcn::launch
