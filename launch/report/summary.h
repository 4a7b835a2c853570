// The numbers of a sweep: per variant mean, standard deviation, minimum and maximum of the test
// RMSE, and every run; as summary.json, summary.csv and a table for the terminal.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/status.h"
#include "launch/report/sweep_results.h"

namespace dcn::report {

/// Of a list of numbers.
struct Statistics {
  double mean = 0;
  double standard_deviation = 0;  // ddof 0, as numpy's default
  double minimum = 0;
  double maximum = 0;
};

/// REQUIRES: not empty. A value that is not a number makes all four not a number.
Statistics Describe(std::span<const double> values);

/// The middle value, or the mean of the two middle ones. REQUIRES: not empty.
double Median(std::vector<double> values);

/// One variant's finished runs. Variants without any are left out of a summary.
struct VariantSummary {
  std::string name;
  Statistics test_rmse;
  double rows_per_second = 0;  // median
  double train_seconds = 0;    // median
  std::uint64_t parameter_count = 0;
  const VariantResults* results = nullptr;  // the runs, which the caller keeps alive
};

/// In the experiment's order. `results` must outlive the answer.
std::vector<VariantSummary> SummarizeVariants(const SweepResults& results);

/// summary.json: a list of variants in the experiment's order, each with name, mean,
/// standard_deviation, minimum, maximum, parameter_count, train_rows_per_second and runs.
nlohmann::json SummaryJson(const SweepResults& results, std::span<const VariantSummary> summaries);

/// summary.csv: one line a run, under a header.
std::string SummaryCsv(std::span<const VariantSummary> summaries);

/// Lines for a terminal, with every run.
std::string SummaryTable(std::span<const VariantSummary> summaries);

/// Writes summary.json and summary.csv into `folder`.
Status WriteSummary(const SweepResults& results, const std::filesystem::path& folder);

}  // namespace dcn::report
