// Training loss over the steps: a small chart for each variant, all on the same axes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "launch/report/summary.h"

namespace dcn::report {

/// (step, loss)
using LossLine = std::vector<std::pair<std::uint64_t, double>>;

/// The mean over runs at the steps that every run has; losses that are not finite numbers above
/// zero count as missing.
LossLine MeanLoss(std::span<const output::RunResult> runs);

/// One <figure> a variant: each run a thin line, their mean a thick one, the other variants' means
/// in grey. On hover a run's line names the run and its loss over the last epoch, the rest of the
/// chart the mean at that step. Empty where no run has a loss curve.
std::string LossFigures(std::span<const VariantSummary> summaries);

/// The training loss as a table: a row an epoch, a column a variant; in each cell the mean over the
/// runs, with the standard deviation where there are runs > 1. A dash where a run lacks that epoch.
std::string LossTable(std::span<const VariantSummary> summaries);

}  // namespace dcn::report
