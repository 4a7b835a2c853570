#include "launch/report/dot_strip.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "launch/report/axis.h"
#include "launch/report/markup.h"
#include "launch/report/palette.h"

namespace dcn::report {
namespace {

constexpr double kWidth = 420;
constexpr double kMargin = 8;
constexpr double kStripHeight = 54;
constexpr double kTop = 4;
constexpr double kRadius = 4.5;

/// The common axis of all runs, with air at both ends; low == high where there is no run.
Axis MakeAxis(std::span<const VariantSummary> summaries) {
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  for (const VariantSummary& summary : summaries) {
    for (const output::RunResult& run : summary.results->runs) {
      if (!std::isfinite(run.test_rmse)) continue;
      low = std::min(low, run.test_rmse);
      high = std::max(high, run.test_rmse);
    }
  }
  if (low > high) return {};
  // Runs of one seed agree to the bit; even one run deserves an axis.
  const double air = std::max((high - low) * 0.08, 0.0005);
  return {low - air, high + air, kMargin, kWidth - kMargin, false};
}

std::string Grid(const Axis& axis, double bottom) {
  std::string svg;
  const std::vector<double> ticks = LinearTicks(axis.low, axis.high, 5);
  const std::vector<std::string> texts = LinearTickTexts(ticks);
  for (std::size_t k = 0; k < ticks.size(); ++k) {
    const double x = axis.Position(ticks[k]);
    svg += fmt::format(
        "<line class=\"grid\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\"/>"
        "<text class=\"tick\" x=\"{0:.1f}\" y=\"{3:.1f}\" text-anchor=\"middle\">{4}</text>\n",
        x, kTop, bottom, bottom + 15, texts[k]);
  }
  return svg;
}

std::string Strip(const VariantSummary& summary, const Axis& axis, double top,
                  const std::string& colour) {
  const double middle = top + 35;
  std::string svg = fmt::format("<text class=\"strip-name\" x=\"{}\" y=\"{:.1f}\">{}</text>\n",
                                kMargin, top + 15, Escape(Shorten(summary.name, 48)));
  svg += fmt::format("<line class=\"rule\" x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>\n",
                     kMargin, kWidth - kMargin, middle);
  const Statistics& rmse = summary.test_rmse;
  if (std::isfinite(rmse.mean)) {
    const double from = axis.Position(rmse.mean - rmse.standard_deviation);
    const double to = axis.Position(rmse.mean + rmse.standard_deviation);
    svg += fmt::format(
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"8\" rx=\"4\" fill=\"{}\" "
        "opacity=\"0.22\"/><line class=\"mean\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" "
        "y2=\"{:.1f}\" stroke=\"{}\"/>\n",
        from, middle - 4, to - from, colour, axis.Position(rmse.mean), axis.Position(rmse.mean),
        middle - 12, middle + 12, colour);
  }
  std::vector<const output::RunResult*> runs;
  for (const output::RunResult& run : summary.results->runs) {
    if (std::isfinite(run.test_rmse)) runs.push_back(&run);
  }
  std::stable_sort(runs.begin(), runs.end(),
                   [](const auto* a, const auto* b) { return a->test_rmse < b->test_rmse; });
  std::vector<double> positions;
  for (const output::RunResult* run : runs) positions.push_back(axis.Position(run->test_rmse));
  const std::vector<double> offsets = SpreadDots(positions, kRadius);
  for (std::size_t k = 0; k < runs.size(); ++k) {
    svg += fmt::format(
        "<circle class=\"run\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\" fill=\"{}\"><title>{}, seed "
        "{}: "
        "{:.4f}</title></circle>\n",
        positions[k], middle + offsets[k], kRadius, colour, Escape(summary.name), runs[k]->seed,
        runs[k]->test_rmse);
  }
  return svg;
}

}  // namespace

std::vector<double> SpreadDots(std::span<const double> positions, double radius) {
  const double step = 1.6 * radius;
  std::vector<double> offsets;
  for (std::size_t k = 0; k < positions.size(); ++k) {
    const auto is_free = [&](double offset) {
      for (std::size_t other = 0; other < k; ++other) {
        if (std::hypot(positions[k] - positions[other], offset - offsets[other]) < step * 0.99) {
          return false;
        }
      }
      return true;
    };
    const double candidates[] = {0, -step, step, -2 * step, 2 * step};
    const auto* found = std::find_if(std::begin(candidates), std::end(candidates), is_free);
    offsets.push_back(found == std::end(candidates) ? 0 : *found);
  }
  return offsets;
}

std::string DotStripFigure(std::span<const VariantSummary> summaries) {
  const Axis axis = MakeAxis(summaries);
  if (axis.from == axis.to || axis.to == 1) return "";
  const double bottom = kTop + kStripHeight * static_cast<double>(summaries.size()) + 4;
  const double height = bottom + 36;
  std::string svg = fmt::format(
      "<figure class=\"strip\">\n<svg viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" "
      "aria-label=\"Test RMSE of every run: numbers in the table of all runs\">\n",
      kWidth, height);
  svg += Grid(axis, bottom);
  for (std::size_t k = 0; k < summaries.size(); ++k) {
    svg += Strip(summaries[k], axis, kTop + kStripHeight * static_cast<double>(k),
                 Hex(VariantColour(k)));
  }
  svg += fmt::format(
      "<text class=\"axis\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">test RMSE</text>\n",
      kWidth / 2, bottom + 32);
  return svg +
         "</svg>\n<figcaption>Each dot is a run; the tick is the mean, the bar one standard "
         "deviation to either side.</figcaption>\n</figure>\n";
}

}  // namespace dcn::report
