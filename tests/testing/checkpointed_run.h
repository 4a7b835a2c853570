// A small training run with checkpoints at every tenth step, for tests of what becomes of it when
// something goes wrong.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/testing/command.h"

namespace dcn::testing {

/// Arguments of dcn_worker for a run of `steps` steps, without checkpoints.
std::vector<std::string> SmallRun(std::uint64_t steps);

/// The same with checkpoints in `folder`, two of which stay; `more` goes at the end. A run in one
/// process has two shards, and `more` has to say so: --shards 2.
std::vector<std::string> CheckpointedRun(const std::filesystem::path& folder, std::uint64_t steps,
                                         const std::vector<std::string>& more);

/// "step-000000000020-epoch-2" in `folder`.
std::filesystem::path CheckpointPath(const std::filesystem::path& folder, std::uint64_t step,
                                     std::uint64_t epoch);

/// The parameter digest of SmallRun(steps): what every run of so many steps must come to, whatever
/// happens to it. Fails the test where it does not end well.
std::string OracleDigest(std::uint64_t steps);

/// dcn_worker --inspect-checkpoint.
CommandResult InspectCheckpoint(const std::filesystem::path& folder);

/// The step of the newest checkpoint in `folder`, all of which is verified; 0: there is none. Fails
/// the test where it is damaged.
std::uint64_t NewestStep(const std::filesystem::path& folder);

/// What is left in `folder` of checkpoints that were not finished; empty where nothing is.
std::string UnfinishedIn(const std::filesystem::path& folder);

/// result.json in `output`; fails the test where it cannot be read.
nlohmann::json ReadResult(const std::filesystem::path& output);

/// Puts a copy of the folder `from`, or an empty folder where it is not there, in the place of
/// `to`.
void ReplaceFolder(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace dcn::testing
