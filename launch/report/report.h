// report.html: what a sweep found, in one file that opens anywhere, without network or scripts.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "common/status.h"
#include "launch/report/sweep_results.h"

namespace dcn::report {

inline constexpr std::string_view kReportFile = "report.html";

/// The page. The same results give the same page.
std::string RenderReport(const SweepResults& results);

/// Writes report.html, summary.json and summary.csv into `folder`.
/// kNotFound: no run of the sweep is finished.
Status WriteReport(const SweepResults& results, const std::filesystem::path& folder);

}  // namespace dcn::report
