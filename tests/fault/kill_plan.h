// Where a run is killed while it writes checkpoints, and which one must load then: that of the last
// commit, the rename of a manifest into its place, that the kill comes after.
//
// Threads race, and the order of a trace is that of one run. What holds in every run, and what is
// demanded here:
//   * the thread that makes a checkpoint's folder commits it; its calls are in one order
//   * a commit waits for all others that write into its folder: the threads of the shards
//   * no checkpoint is begun before the one before is committed and old ones are removed
//   * what opens the job's folder comes before the first checkpoint's folder is made
// Other calls would be undetermined.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tests/testing/traced_command.h"

namespace dcn::testing {

struct KillPlace {
  FileCall call;
  std::string kind;  // name of the call, what the file is for, which checkpoint is whole
  std::optional<std::uint64_t> loads;  // that checkpoint's step, 0: none; nullopt: undetermined
};

/// Places to kill at, one for each FileCall of an undisturbed run's trace, in the trace's order.
/// before: step of the checkpoint that the run has begun with; 0: none.
std::vector<KillPlace> PlanKills(const std::vector<TracedCall>& calls, std::uint64_t before);

/// One of every kind. This and the next: all of them where DCN_FAULT_FULL is set.
std::vector<KillPlace> SampleOfKinds(const std::vector<KillPlace>& places);
/// The last before and the first after each commit, and `more` others, evenly spread.
std::vector<KillPlace> SampleAroundCommits(const std::vector<KillPlace>& places, std::size_t more);

}  // namespace dcn::testing
