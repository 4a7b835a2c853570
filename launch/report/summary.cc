#include "launch/report/summary.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "common/check.h"
#include "common/file/atomic_write.h"

namespace dcn::report {
namespace {

using nlohmann::json;

/// JSON has no NaN: a diverged run's RMSE is null, as in result.json.
json NumberOrNull(double value) { return std::isfinite(value) ? json(value) : json(nullptr); }

json RunJson(const output::RunResult& run) {
  return {{"seed", run.seed},
          {"test_rmse", NumberOrNull(run.test_rmse)},
          {"parameter_digest", run.parameter_digest},
          {"train_seconds", run.train_seconds},
          {"wall_seconds", run.wall_seconds},
          {"train_rows_per_second", run.train_rows_per_second},
          {"steps", run.steps},
          {"threads", run.threads},
          {"engine", run.engine},
          {"precision", run.precision},
          {"peak_rss_bytes", run.peak_rss_bytes}};
}

std::string CsvField(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + "\"";
}

}  // namespace

Statistics Describe(std::span<const double> values) {
  DCN_CHECK(!values.empty());
  double sum = 0;
  bool all_numbers = true;
  for (const double value : values) {
    sum += value;
    all_numbers = all_numbers && !std::isnan(value);
  }
  if (!all_numbers) {
    constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
    return {kNaN, kNaN, kNaN, kNaN};
  }
  const auto count = static_cast<double>(values.size());
  const double mean = sum / count;
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  const auto [minimum, maximum] = std::minmax_element(values.begin(), values.end());
  return {mean, std::sqrt(squares / count), *minimum, *maximum};
}

double Median(std::vector<double> values) {
  DCN_CHECK(!values.empty());
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  if (values.size() % 2 == 1) return values[middle];
  return (values[middle - 1] + values[middle]) / 2;
}

std::vector<VariantSummary> SummarizeVariants(const SweepResults& results) {
  std::vector<VariantSummary> summaries;
  for (const VariantResults& variant : results.variants) {
    if (variant.runs.empty()) continue;
    std::vector<double> test_rmse;
    std::vector<double> rows_per_second;
    std::vector<double> train_seconds;
    for (const output::RunResult& run : variant.runs) {
      test_rmse.push_back(run.test_rmse);
      rows_per_second.push_back(run.train_rows_per_second);
      train_seconds.push_back(run.train_seconds);
    }
    summaries.push_back({variant.name, Describe(test_rmse), Median(std::move(rows_per_second)),
                         Median(std::move(train_seconds)), variant.runs.front().parameter_count,
                         &variant});
  }
  return summaries;
}

json SummaryJson(const SweepResults& results, std::span<const VariantSummary> summaries) {
  json variants = json::array();
  for (const VariantSummary& summary : summaries) {
    json runs = json::array();
    for (const output::RunResult& run : summary.results->runs) runs.push_back(RunJson(run));
    variants.push_back({{"name", summary.name},
                        {"mean", NumberOrNull(summary.test_rmse.mean)},
                        {"standard_deviation", NumberOrNull(summary.test_rmse.standard_deviation)},
                        {"minimum", NumberOrNull(summary.test_rmse.minimum)},
                        {"maximum", NumberOrNull(summary.test_rmse.maximum)},
                        {"parameter_count", summary.parameter_count},
                        {"train_rows_per_second", summary.rows_per_second},
                        {"runs", std::move(runs)}});
  }
  return {{"experiment", results.record.experiment},  {"title", results.record.title},
          {"data", results.record.data.name},         {"planned_runs", results.planned_runs},
          {"finished_runs", results.finished_runs()}, {"variants", std::move(variants)}};
}

std::string SummaryCsv(std::span<const VariantSummary> summaries) {
  std::string text =
      "variant,seed,test_rmse,train_rows_per_second,train_seconds,wall_seconds,steps,"
      "parameter_count,parameter_digest\n";
  for (const VariantSummary& summary : summaries) {
    for (const output::RunResult& run : summary.results->runs) {
      text += fmt::format("{},{},{},{},{},{},{},{},{}\n", CsvField(summary.name), run.seed,
                          run.test_rmse, run.train_rows_per_second, run.train_seconds,
                          run.wall_seconds, run.steps, run.parameter_count, run.parameter_digest);
    }
  }
  return text;
}

std::string SummaryTable(std::span<const VariantSummary> summaries) {
  std::size_t width = std::string_view("variant").size();
  for (const VariantSummary& summary : summaries) width = std::max(width, summary.name.size());
  std::string text = fmt::format("{:<{}}  {:^15}  {:>6}  {:>6}  {}\n", "variant", width,
                                 "test RMSE", "min", "max", "runs, by seed");
  for (const VariantSummary& summary : summaries) {
    const Statistics& rmse = summary.test_rmse;
    text += fmt::format("{:<{}}  {:.4f} ± {:.4f}  {:.4f}  {:.4f} ", summary.name, width, rmse.mean,
                        rmse.standard_deviation, rmse.minimum, rmse.maximum);
    for (const output::RunResult& run : summary.results->runs) {
      text += fmt::format(" {:.4f}", run.test_rmse);
    }
    text += "\n";
  }
  return text;
}

Status WriteSummary(const SweepResults& results, const std::filesystem::path& folder) {
  const std::vector<VariantSummary> summaries = SummarizeVariants(results);
  DCN_RETURN_IF_ERROR(
      WriteFileAtomically(folder / "summary.json", SummaryJson(results, summaries).dump(2) + "\n"));
  return WriteFileAtomically(folder / "summary.csv", SummaryCsv(summaries));
}

}  // namespace dcn::report
