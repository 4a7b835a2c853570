// The step files of a sweep's runs (worker/export/step_file.h): where they are, and what they tell
// of each attempt.
//
// They are in a folder on tmpfs, named after the run's own folder, so that a dcn_sweep that follows
// one that was killed finds them. Each attempt has its own, numbered from 0 in each start of the
// run's process: launch/train.sh starts lost workers again before anybody has read what the lost
// ones left.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "common/status.h"
#include "launch/sweep/attempt_steps.h"
#include "launch/sweep/run_plan.h"

namespace dcn::sweep {

/// Thread safety: none.
class StepFiles {
 public:
  /// folder: on tmpfs.
  explicit StepFiles(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// What the names of a run's files begin with; ".0" and so on follow. The run's folder is there.
  [[nodiscard]] std::filesystem::path Prefix(const PlannedRun& run) const;
  [[nodiscard]] std::filesystem::path File(const PlannedRun& run, std::size_t attempt) const;

  /// Removes the files of all attempts, and makes that of attempt 0. kInvalidArgument, kInternal:
  /// it cannot be made.
  [[nodiscard]] Status Renew(const PlannedRun& run) const;

  /// Removes them, as far as that is possible.
  void Remove(const PlannedRun& run) const;

  /// What the file of an attempt tells; where it does not, as where the attempt ended before it
  /// could open it, `otherwise`.
  [[nodiscard]] AttemptSteps Read(const PlannedRun& run, std::size_t attempt,
                                  const AttemptSteps& otherwise) const;

  /// What is known of the last attempts of a run that an earlier dcn_sweep started, in their order;
  /// of the last one at least by its log.
  [[nodiscard]] std::vector<AttemptSteps> ReadLeft(const PlannedRun& run) const;

 private:
  /// The numbers of the files that there are, in order.
  [[nodiscard]] std::vector<std::size_t> Attempts(const PlannedRun& run) const;

  const std::filesystem::path folder_;
};

}  // namespace dcn::sweep
