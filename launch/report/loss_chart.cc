#include "launch/report/loss_chart.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include <fmt/format.h>

#include "launch/report/axis.h"
#include "launch/report/markup.h"
#include "launch/report/palette.h"

namespace dcn::report {
namespace {

constexpr double kWidth = 348;
constexpr double kHeight = 236;
constexpr double kLeft = 40;
constexpr double kRight = 12;
constexpr double kTop = 8;
constexpr double kBottom = 38;
// Above this ratio of largest to smallest loss, equal steps on paper are equal ratios.
constexpr double kLogarithmicFrom = 4;

bool IsShown(double loss) { return std::isfinite(loss) && loss > 0; }

LossLine RunLoss(const output::RunResult& run) {
  LossLine line;
  for (const output::LossPoint& point : run.loss_curve) {
    if (IsShown(point.loss)) line.emplace_back(point.step, point.loss);
  }
  return line;
}

struct Axes {
  Axis steps;
  Axis loss;
  bool is_empty = true;
};

Axes MakeAxes(std::span<const VariantSummary> summaries) {
  double low = std::numeric_limits<double>::infinity();
  double high = 0;
  std::uint64_t last_step = 0;
  for (const VariantSummary& summary : summaries) {
    for (const output::RunResult& run : summary.results->runs) {
      for (const auto& [step, loss] : RunLoss(run)) {
        low = std::min(low, loss);
        high = std::max(high, loss);
        last_step = std::max(last_step, step);
      }
    }
  }
  if (high == 0) return {};
  Axes axes;
  axes.is_empty = false;
  axes.steps = {0, static_cast<double>(std::max<std::uint64_t>(last_step, 1)), kLeft,
                kWidth - kRight, false};
  axes.loss.is_logarithmic = high / low >= kLogarithmicFrom;
  if (axes.loss.is_logarithmic) {
    axes.loss.low = low / 1.06;
    axes.loss.high = high * 1.06;
  } else {
    const double air = std::max((high - low) * 0.06, high * 1e-3);
    axes.loss.low = low - air;
    axes.loss.high = high + air;
  }
  axes.loss.from = kHeight - kBottom;
  axes.loss.to = kTop;
  return axes;
}

/// title: what hovering over the line shows; empty: nothing.
std::string Polyline(const LossLine& line, const Axes& axes, const std::string& attributes,
                     const std::string& title = "") {
  if (line.empty()) return "";
  std::string points;
  for (const auto& [step, loss] : line) {
    points += fmt::format("{:.1f},{:.1f} ", axes.steps.Position(static_cast<double>(step)),
                          axes.loss.Position(loss));
  }
  points.pop_back();
  // A single point: a line from it to itself, which round caps make a dot.
  if (line.size() == 1) points += " " + points;
  if (title.empty()) return fmt::format("<polyline points=\"{}\" {}/>\n", points, attributes);
  return fmt::format("<polyline points=\"{}\" {}><title>{}</title></polyline>\n", points,
                     attributes, title);
}

/// A strip of the chart's height around each point of `mean`, without a colour until the mouse is
/// over it: a line is too thin to meet.
std::string HoverStrips(const LossLine& mean, std::size_t runs, const Axes& axes) {
  const auto position = [&](std::size_t k) {
    return axes.steps.Position(static_cast<double>(mean[k].first));
  };
  std::string svg;
  for (std::size_t k = 0; k < mean.size(); ++k) {
    const double from = k == 0 ? kLeft : (position(k - 1) + position(k)) / 2;
    const double to = k + 1 == mean.size() ? kWidth - kRight : (position(k) + position(k + 1)) / 2;
    svg += fmt::format(
        "<rect class=\"hover\" x=\"{:.2f}\" y=\"{}\" width=\"{:.2f}\" height=\"{}\"><title>step "
        "{}: {}{:.4f}</title></rect>\n",
        from, kTop, to - from, kHeight - kBottom - kTop, mean[k].first, runs > 1 ? "mean " : "",
        mean[k].second);
  }
  return svg;
}

std::string Grid(const Axes& axes) {
  std::string svg;
  std::vector<double> ticks;
  std::vector<std::string> texts;
  if (axes.loss.is_logarithmic) {
    ticks = LogarithmicTicks(axes.loss.low, axes.loss.high);
    for (const double tick : ticks) texts.push_back(FormatTick(tick));
  } else {
    ticks = LinearTicks(axes.loss.low, axes.loss.high, 5);
    texts = LinearTickTexts(ticks);
  }
  for (std::size_t k = 0; k < ticks.size(); ++k) {
    const double y = axes.loss.Position(ticks[k]);
    svg += fmt::format(
        "<line class=\"grid\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>"
        "<text class=\"tick\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n",
        kLeft, kWidth - kRight, y, y, kLeft - 6, y + 4, texts[k]);
  }
  const std::vector<double> steps = LinearTicks(axes.steps.low, axes.steps.high, 4);
  const std::vector<std::string> step_texts = LinearTickTexts(steps);
  for (std::size_t k = 0; k < steps.size(); ++k) {
    svg += fmt::format(
        "<text class=\"tick\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n",
        axes.steps.Position(steps[k]), kHeight - kBottom + 16, step_texts[k]);
  }
  svg += fmt::format(
      "<line class=\"rule\" x1=\"{0}\" x2=\"{1}\" y1=\"{2}\" y2=\"{2}\"/>"
      "<text class=\"axis\" x=\"{3}\" y=\"{4}\" text-anchor=\"middle\">training step</text>\n",
      kLeft, kWidth - kRight, kHeight - kBottom, (kLeft + kWidth - kRight) / 2, kHeight - 5);
  return svg;
}

/// The training loss of the last epoch; not a number where there is none.
double LastEpoch(const output::RunResult& run) {
  return run.epochs.empty() ? std::numeric_limits<double>::quiet_NaN()
                            : run.epochs.back().train_loss;
}

/// The same, mean over the runs.
double MeanLastEpoch(std::span<const output::RunResult> runs) {
  double sum = 0;
  for (const output::RunResult& run : runs) sum += LastEpoch(run);
  return sum / static_cast<double>(runs.size());
}

std::string LastEpochText(double loss) {
  return std::isfinite(loss) ? fmt::format("{:.4f} over the last epoch", loss)
                             : std::string("no loss recorded");
}

/// Of epoch `epoch`, from 0.
std::string EpochLoss(std::span<const output::RunResult> runs, std::size_t epoch) {
  std::vector<double> losses;
  for (const output::RunResult& run : runs) {
    losses.push_back(epoch < run.epochs.size() ? run.epochs[epoch].train_loss
                                               : std::numeric_limits<double>::quiet_NaN());
  }
  const Statistics loss = Describe(losses);
  std::string text = Fixed(loss.mean, 4);
  if (runs.size() > 1 && std::isfinite(loss.mean)) {
    text += "&nbsp;±&nbsp;" + Fixed(loss.standard_deviation, 4);
  }
  return text;
}

std::string Figure(std::span<const VariantSummary> summaries, std::size_t shown, const Axes& axes,
                   const std::vector<LossLine>& means) {
  const VariantSummary& summary = summaries[shown];
  const std::string colour = Hex(VariantColour(shown));
  const LossLine& mean = means[shown];
  const std::vector<output::RunResult>& runs = summary.results->runs;
  const std::string end = LastEpochText(MeanLastEpoch(runs));
  std::string svg = fmt::format(
      "<figure class=\"loss\">\n<figcaption><span class=\"swatch\" "
      "style=\"background:{}\"></span><b>{}</b> {}</figcaption>\n<svg "
      "viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"Training loss of {}, {}: numbers in the "
      "table "
      "below\">\n",
      colour, Escape(summary.name), end, kWidth, kHeight, Escape(summary.name), end);
  svg += Grid(axes) + HoverStrips(mean, runs.size(), axes);
  for (std::size_t other = 0; other < summaries.size(); ++other) {
    if (other == shown) continue;
    svg += Polyline(means[other], axes, "class=\"other\"");
  }
  for (const output::RunResult& run : runs) {
    svg += Polyline(RunLoss(run), axes, fmt::format("class=\"run\" stroke=\"{}\"", colour),
                    fmt::format("seed {}: {}", run.seed, LastEpochText(LastEpoch(run))));
  }
  return svg + Polyline(mean, axes, fmt::format("class=\"mean\" stroke=\"{}\"", colour)) +
         "</svg>\n</figure>\n";
}

}  // namespace

LossLine MeanLoss(std::span<const output::RunResult> runs) {
  std::map<std::uint64_t, std::pair<std::size_t, double>> sums;  // step -> (runs, sum)
  for (const output::RunResult& run : runs) {
    for (const auto& [step, loss] : RunLoss(run)) {
      auto& [count, sum] = sums[step];
      ++count;
      sum += loss;
    }
  }
  LossLine mean;
  for (const auto& [step, entry] : sums) {
    const auto& [count, sum] = entry;
    if (count == runs.size()) mean.emplace_back(step, sum / static_cast<double>(count));
  }
  return mean;
}

std::string LossFigures(std::span<const VariantSummary> summaries) {
  const Axes axes = MakeAxes(summaries);
  if (axes.is_empty) return "";
  std::vector<LossLine> means;
  for (const VariantSummary& summary : summaries) means.push_back(MeanLoss(summary.results->runs));
  std::string html = "<div class=\"charts\">\n";
  for (std::size_t k = 0; k < summaries.size(); ++k) html += Figure(summaries, k, axes, means);
  html += "</div>\n<p class=\"note\">Mean squared error of the training batches";
  if (axes.loss.is_logarithmic) html += ", on a logarithmic scale";
  return html +
         ". Thin lines are single runs, the thick line is their mean; grey are the other "
         "variants.</p>\n";
}

std::string LossTable(std::span<const VariantSummary> summaries) {
  Table table;
  table.css_class = "numbers";
  table.caption = "Training loss";
  table.head = {"Epoch"};
  std::size_t epochs = 0;
  for (const VariantSummary& summary : summaries) {
    table.head.push_back(Escape(summary.name));
    for (const output::RunResult& run : summary.results->runs) {
      epochs = std::max(epochs, run.epochs.size());
    }
  }
  for (std::size_t epoch = 0; epoch < epochs; ++epoch) {
    std::vector<std::string> cells = {std::to_string(epoch + 1)};
    for (const VariantSummary& summary : summaries) {
      cells.push_back(EpochLoss(summary.results->runs, epoch));
    }
    table.rows.push_back(std::move(cells));
  }
  return TableHtml(table);
}

}  // namespace dcn::report
