// What the journal of earlier starts of a sweep says of its runs.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace dcn::sweep {

/// How the journal leaves a run.
enum class LastNews {
  kUnderWay,  // it was started and nothing ended it: dcn_sweep itself was lost meanwhile
  kLeft,      // it failed, was stopped, or waited to be started again
  kEnded,     // it finished
};

struct RunNews {
  LastNews news = LastNews::kEnded;
  std::uint64_t last_step = 0;  // that it had come to, by its last attempt that took steps
  bool is_exact = true;         // last_step; else it may have come further
  friend bool operator==(const RunNews&, const RunNews&) = default;
};

/// Variant and seed.
using RunName = std::pair<std::string, std::uint64_t>;

/// By the entries of each run (sweep_chronicle.h); those that are not of a run do not count.
[[nodiscard]] std::map<RunName, RunNews> ReadRunHistory(const std::vector<nlohmann::json>& entries);

}  // namespace dcn::sweep
