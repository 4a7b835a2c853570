// dcn_report: rebuilds the report of a sweep from its finished runs.

#include <cstdio>
#include <filesystem>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include "common/log.h"
#include "launch/main/command_line.h"
#include "launch/main/exit_code.h"
#include "launch/main/program.h"
#include "launch/main/version.h"
#include "launch/report/report.h"
#include "launch/report/summary.h"

namespace dcn::launch {
namespace {

constexpr const char* kName = "dcn_report";

Status Run(const std::filesystem::path& folder, const std::string& log_level) {
  DCN_RETURN_IF_ERROR(SetUpLogging(kName, log_level));
  DCN_ASSIGN_OR_RETURN(const report::SweepResults results, report::ReadSweepResults(folder));
  DCN_RETURN_IF_ERROR(report::WriteReport(results, folder));
  fmt::print("{}\nreport: {}\n", report::SummaryTable(report::SummarizeVariants(results)),
             (folder / report::kReportFile).string());
  return Status();
}

int Main(int argc, char** argv) {
  std::string folder;
  std::string log_level = "info";
  CLI::App app(
      "Rebuilds report.html, summary.json and summary.csv from the finished runs of a sweep.",
      "dcn_report");
  app.set_version_flag("--version", VersionText(kName));
  app.add_option("DIR", folder, "the --output folder of dcn_sweep")->required();
  AddLogLevelOption(app, log_level);
  const Result<std::string> text = ParseCommandLine(app, argc, argv);
  if (!text.ok()) return Fail(kName, text.status());
  if (!text->empty()) {
    fmt::print("{}", *text);
    return kExitDone;
  }
  const Status status = Run(folder, log_level);
  return status.ok() ? kExitDone : Fail(kName, status);
}

}  // namespace
}  // namespace dcn::launch

int main(int argc, char** argv) {
  return dcn::launch::RunProgram(dcn::launch::kName, dcn::launch::Main, argc, argv);
}
