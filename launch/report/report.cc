#include "launch/report/report.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "common/file/atomic_write.h"
#include "launch/report/dot_strip.h"
#include "launch/report/heat_map.h"
#include "launch/report/loss_chart.h"
#include "launch/report/markup.h"
#include "launch/report/palette.h"
#include "launch/report/report_style.h"
#include "launch/report/settings_table.h"
#include "launch/report/summary.h"
#include "launch/sweep/progress.h"
#include "launch/sweep/toml_json.h"

namespace dcn::report {
namespace {

using sweep::FormatCount;

constexpr std::size_t kShownPairs = 3;

std::string Count(std::uint64_t value) { return FormatCount(static_cast<double>(value)); }

std::string Runs(std::size_t count) {
  return fmt::format("{} run{}", count, count == 1 ? "" : "s");
}

std::string Scrolling(const std::string& table) {
  return "<div class=\"scroll\">\n" + table + "</div>\n";
}

std::string NameWithSwatch(const VariantSummary& summary, std::size_t index) {
  return fmt::format("<span class=\"swatch\" style=\"background:{}\"></span>{}",
                     Hex(VariantColour(index)), Escape(summary.name));
}

/// The variant with the lowest mean; none where every mean is not a number.
const VariantSummary* BestVariant(const std::vector<VariantSummary>& summaries) {
  const VariantSummary* best = nullptr;
  for (const VariantSummary& summary : summaries) {
    if (!std::isfinite(summary.test_rmse.mean)) continue;
    if (best == nullptr || summary.test_rmse.mean < best->test_rmse.mean) best = &summary;
  }
  return best;
}

std::string Header(const SweepResults& results, const std::vector<VariantSummary>& summaries) {
  const output::DataSummary& data = summaries.front().results->runs.front().data;
  std::string facts = fmt::format("{} of {} runs · {}: {} ratings, {} for training, {} for testing",
                                  results.finished_runs(), results.planned_runs, Escape(data.name),
                                  Count(data.rows), Count(data.train_rows), Count(data.test_rows));
  if (results.finished.size() >= 16) {  // 2025-01-31T12:34…
    facts += fmt::format(" · last run ended {} UTC", Escape(results.finished.substr(0, 10) + " " +
                                                            results.finished.substr(11, 5)));
  }
  std::string html = fmt::format(
      "<header>\n<p class=\"experiment\">{}</p>\n<h1>{}</h1>\n<p class=\"facts\">{}</p>\n",
      Escape(results.record.experiment), Escape(results.record.title), facts);
  if (results.finished_runs() < results.planned_runs) {
    html += "<p class=\"notice\">The sweep is not finished: these are the runs so far.</p>\n";
  }
  if (data.name.starts_with("synthetic")) {
    html +=
        "<p class=\"notice\">Synthetic data: the numbers say nothing about MovieLens. They show "
        "that everything works, and which of these models recovers what was planted.</p>\n";
  }
  return html + "</header>\n";
}

std::string Answer(const std::vector<VariantSummary>& summaries) {
  const VariantSummary* best = BestVariant(summaries);
  if (best == nullptr) return "<p class=\"answer\">No run ended with a finite test RMSE.</p>\n";
  std::string html =
      fmt::format("<p class=\"answer\">Lowest mean: <b>{}</b>, {} ± {} over {}.",
                  Escape(best->name), Fixed(best->test_rmse.mean, 4),
                  Fixed(best->test_rmse.standard_deviation, 4), Runs(best->results->runs.size()));
  const output::DataSummary& data = best->results->runs.front().data;
  if (data.noise_floor_rmse) {
    html +=
        fmt::format(" No prediction can do better than {} here: that is the noise in this data.",
                    Fixed(*data.noise_floor_rmse, 4));
  }
  return html + "</p>\n";
}

std::string ResultsTable(const std::vector<VariantSummary>& summaries) {
  Table table;
  table.css_class = "results";
  table.head = {"Model", "Mean ± sd", "Min", "Max"};
  const bool counts_differ =
      std::any_of(summaries.begin(), summaries.end(), [&](const VariantSummary& summary) {
        return summary.results->runs.size() != summaries.front().results->runs.size();
      });
  if (counts_differ) table.head.push_back("Runs");
  const VariantSummary* best = BestVariant(summaries);
  for (std::size_t k = 0; k < summaries.size(); ++k) {
    const VariantSummary& summary = summaries[k];
    const Statistics& rmse = summary.test_rmse;
    table.rows.push_back(
        {NameWithSwatch(summary, k),
         fmt::format("<span{}>{}</span> ± {}", &summary == best ? " class=\"best\"" : "",
                     Fixed(rmse.mean, 4), Fixed(rmse.standard_deviation, 4)),
         Fixed(rmse.minimum, 4), Fixed(rmse.maximum, 4)});
    if (counts_differ) table.rows.back().push_back(std::to_string(summary.results->runs.size()));
  }
  return Scrolling(TableHtml(table)) +
         "<p class=\"note\">Root mean squared error over the whole test set. The standard "
         "deviation "
         "divides by the number of runs (ddof 0).</p>\n";
}

std::string AllRunsTable(const std::vector<VariantSummary>& summaries) {
  Table table;
  table.css_class = "numbers";
  table.caption = "Every run";
  table.head = {"Model", "Seed", "Test RMSE", "Rows/s", "Training", "Process", "Parameter digest"};
  for (const VariantSummary& summary : summaries) {
    for (const output::RunResult& run : summary.results->runs) {
      table.rows.push_back({Escape(summary.name), std::to_string(run.seed), Fixed(run.test_rmse, 6),
                            FormatCount(run.train_rows_per_second),
                            fmt::format("{:.2f} s", run.train_seconds),
                            fmt::format("{:.2f} s", run.wall_seconds),
                            "<code>" + Escape(run.parameter_digest) + "</code>"});
    }
  }
  return Details("Table of all runs", Scrolling(TableHtml(table)));
}

std::string LossSection(const std::vector<VariantSummary>& summaries) {
  const std::string figures = LossFigures(summaries);
  if (figures.empty()) return "";
  return "<section>\n<h2>Training loss</h2>\n" + figures +
         Details("The loss of every epoch as a table", Scrolling(LossTable(summaries))) +
         "</section>\n";
}

std::string LayerSection(const VariantResults& variant, const CrossLayerMap& layer) {
  const std::size_t runs = variant.runs.size();
  std::string heading = variant.name;
  if (variant.cross_layers.size() > 1) heading += fmt::format(", layer {}", layer.layer + 1);
  std::string html = fmt::format(
      "<h3>{}</h3>\n<p class=\"note strongest\">{} Strongest: {}.</p>\n", Escape(heading),
      layer.projection_dimension == 0
          ? "Full-rank kernel W."
          : fmt::format("Kernel W = U V of rank {}.", layer.projection_dimension),
      StrongestPairs(layer.statistics, variant.features, runs, kShownPairs));
  html += "<div class=\"maps\">\n";
  html +=
      HeatMapFigure(layer.statistics.mean, variant.features,
                    {runs > 1 ? fmt::format("Block norm, mean of {}", Runs(runs)) : "Block norm",
                     runs > 1 ? "mean" : "norm", Ramp::kBlue, false});
  if (runs > 1) {
    html += HeatMapFigure(
        layer.statistics.standard_deviation, variant.features,
        {"Standard deviation over the runs", "standard deviation", Ramp::kPurple, true});
  }
  html += HeatMapFigure(layer.statistics.asymmetry, variant.features,
                        {"Asymmetry |(i, j) − (j, i)|", "asymmetry", Ramp::kGreen, true});
  html += "</div>\n";
  return html + Details("The numbers as tables",
                        Scrolling(HeatMapTable(layer.statistics, variant.features, runs,
                                               "Block norms of " + heading)) +
                            Scrolling(AsymmetryTable(layer.statistics, variant.features,
                                                     "Asymmetry |(i, j) − (j, i)| of " + heading)));
}

std::string MapsSection(const SweepResults& results) {
  std::string layers;
  std::string without;
  for (const VariantResults& variant : results.variants) {
    if (variant.runs.empty()) continue;
    if (variant.cross_layers.empty()) {
      without += (without.empty() ? "" : ", ") + Escape(variant.name);
    }
    for (const CrossLayerMap& layer : variant.cross_layers) layers += LayerSection(variant, layer);
  }
  if (layers.empty()) return "";
  std::string html =
      "<section>\n<h2>Which pairs of features matter</h2>\n<p>A cross layer computes x0 ⊙ (x W + "
      "b) "
      "+ x. Cell (i, j) is the Frobenius norm of the block of W that takes feature i inside x W "
      "(the row) to feature j of x0 (the column): the larger, the more the layer makes of that "
      "pair. W is not symmetric, so (i, j) and (j, i) differ.</p>\n" +
      layers;
  if (!without.empty()) html += "<p class=\"note\">Without a cross layer: " + without + ".</p>\n";
  return html + "</section>\n";
}

std::string CostSection(const std::vector<VariantSummary>& summaries) {
  Table table;
  table.css_class = "cost";
  table.head = {"Model", "Parameters", "Rows/s", "Training", "Memory"};
  for (std::size_t k = 0; k < summaries.size(); ++k) {
    const VariantSummary& summary = summaries[k];
    std::uint64_t peak = 0;
    for (const output::RunResult& run : summary.results->runs) {
      peak = std::max(peak, run.peak_rss_bytes);
    }
    table.rows.push_back({NameWithSwatch(summary, k), Count(summary.parameter_count),
                          FormatCount(summary.rows_per_second),
                          fmt::format("{:.2f} s", summary.train_seconds),
                          fmt::format("{:.0f} MiB", static_cast<double>(peak) / (1 << 20))});
  }
  return "<section>\n<h2>Size and speed</h2>\n" + Scrolling(TableHtml(table)) +
         "<p class=\"note\">Medians over the runs: training rows per second and the time of the "
         "training loop alone. Memory is the largest of any run.</p>\n</section>\n";
}

std::string OriginSection(const SweepResults& results,
                          const std::vector<VariantSummary>& summaries) {
  std::string html = "<section>\n<h2>How it was made</h2>\n";
  html += "<h3>Machine and versions</h3>\n" + Scrolling(MachineTable(summaries)) +
          "<h3>Configuration</h3>\n";
  html += Scrolling(ConfigurationTable(summaries));
  html += fmt::format(
      "<p class=\"note\">Data fingerprint <code>{}</code>. Each run's folder holds "
      "its own <code>config.toml</code> and the command in <code>log.txt</code>.</p>\n",
      Escape(results.record.data.fingerprint));
  for (const VariantSummary& summary : summaries) {
    html += Details("config.toml of " + Escape(summary.name),
                    "<pre>" + Escape(sweep::TomlFromJson(summary.results->options)) + "</pre>\n");
  }
  return html + "</section>\n";
}

}  // namespace

std::string RenderReport(const SweepResults& results) {
  const std::vector<VariantSummary> summaries = SummarizeVariants(results);
  std::string html = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{}</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>{}</style>\n</head>\n<body>\n"
      "<main>\n",
      Escape(results.record.title), kStyleSheet);
  html += Header(results, summaries);
  html += "<section>\n<h2>Test error</h2>\n" + Answer(summaries) +
          "<div class=\"side-by-side\">\n<div>\n" + ResultsTable(summaries) +
          AllRunsTable(summaries) + "</div>\n" + DotStripFigure(summaries) + "</div>\n</section>\n";
  html += LossSection(summaries) + MapsSection(results) + CostSection(summaries) +
          OriginSection(results, summaries);
  return html + "</main>\n</body>\n</html>\n";
}

Status WriteReport(const SweepResults& results, const std::filesystem::path& folder) {
  if (results.finished_runs() == 0) {
    return Error(StatusCode::kNotFound,
                 "{}: no run of the sweep is finished, there is nothing to report; start dcn_sweep "
                 "again with this --output",
                 folder.string());
  }
  DCN_RETURN_IF_ERROR(WriteSummary(results, folder));
  return WriteFileAtomically(folder / kReportFile, RenderReport(results));
}

}  // namespace dcn::report
