// Every run as a dot: the test RMSE of all runs on one axis, a strip for each variant.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "launch/report/summary.h"

namespace dcn::report {

/// A <figure>; dots are <circle class="run"> with a <title>. Runs whose RMSE is not a number have
/// no dot. Empty where no run has one.
std::string DotStripFigure(std::span<const VariantSummary> summaries);

/// Vertical offsets that keep dots of `radius` at the given positions apart: the first of 0, -d,
/// +d, -2d, +2d with d = 1.6 radius that is free of the dots before it. Positions in increasing
/// order.
std::vector<double> SpreadDots(std::span<const double> positions, double radius);

}  // namespace dcn::report
