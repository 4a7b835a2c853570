// dcn_sweep: runs an experiment, every variant with every seed, as dcn_worker processes, and
// reports.
//
// Started again with the same --output, it runs what is not finished, from the last checkpoints on
// where there are any.

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include "common/log.h"
#include "launch/main/command_line.h"
#include "launch/main/exit_code.h"
#include "launch/main/program.h"
#include "launch/main/sweep_command.h"
#include "launch/main/version.h"
#include "launch/main/worker_options.h"
#include "launch/report/report.h"
#include "launch/report/summary.h"
#include "launch/sweep/experiment.h"
#include "launch/sweep/sweep.h"
#include "launch/sweep/sweep_folder.h"
#include "launch/sweep/sweep_record.h"
#include "worker/data/encoded_cache.h"

namespace dcn::launch {
namespace {

constexpr const char* kName = "dcn_sweep";

namespace fs = std::filesystem;

// A dcn_sweep that was killed just now may hold its folder for a moment more.
constexpr std::chrono::seconds kFolderPatience{3};

/// "dcn: 15 runs, 2 at a time, 1 thread each"
std::string DescribeSweep(const sweep::Experiment& experiment, std::size_t runs,
                          const sweep::SweepOptions& options) {
  const sweep::WorkerCommand& worker = options.worker;
  std::string processes;
  if (!worker.train_script.empty()) {
    processes =
        fmt::format("{} worker{} and {} server{} each, ", worker.workers,
                    worker.workers == 1 ? "" : "s", worker.servers, worker.servers == 1 ? "" : "s");
  } else if (!worker.srun.empty()) {
    processes =
        fmt::format("{} task{} of Slurm each, ", worker.workers, worker.workers == 1 ? "" : "s");
  }
  return fmt::format("{}: {} runs, {} at a time, {}{} thread{} each", experiment.name, runs,
                     options.slots, processes, worker.threads, worker.threads == 1 ? "" : "s");
}

/// Encodes the data once, into the cache that all runs map, and makes sure that the folder is of
/// this experiment and data.
Status ClaimFolder(const sweep::Experiment& experiment, const sweep::SweepFolder& folder) {
  DCN_ASSIGN_OR_RETURN(const data::Dataset dataset,
                       data::LoadDataset(experiment.data, folder.cache()));
  const sweep::SweepRecord now = sweep::MakeSweepRecord(
      experiment, {experiment.data, dataset.name(), dataset.fingerprint(), dataset.rows()});
  Result<sweep::SweepRecord> recorded = sweep::ReadSweepRecord(folder.path());
  if (!recorded.ok()) {
    if (recorded.status().code() != StatusCode::kNotFound) return recorded.status();
    return sweep::WriteSweepRecord(now, folder.path());
  }
  DCN_RETURN_IF_ERROR(sweep::MergeSweepRecord(now, *recorded));
  return sweep::WriteSweepRecord(*recorded, folder.path());
}

/// Checks what the experiment sets for dcn_worker, before anything is written: a folder that is
/// claimed for a wrong experiment refuses the mended one. A program of --worker may have other
/// options, and is left to check them itself.
Status CheckRunOptions(const SweepCommandOptions& options) {
  if (!options.worker.empty()) return Status();
  WorkerOptions given;
  given.data = "as the sweep says";
  given.output = options.output;
  if (options.checkpoint_every > 0) given.checkpoint_dir = options.output;
  if (options.servers > 0) given.servers = {"of the sweep"};
  return CheckExperimentOptions(options.experiment, given);
}

/// Writes summary and report over whatever is finished, and shows the table.
Status Report(const fs::path& folder) {
  DCN_ASSIGN_OR_RETURN(const report::SweepResults results, report::ReadSweepResults(folder));
  if (results.finished_runs() == 0) return Status();
  DCN_RETURN_IF_ERROR(report::WriteReport(results, folder));
  fmt::print("\n{}\nreport: {}\n", report::SummaryTable(report::SummarizeVariants(results)),
             (folder / report::kReportFile).string());
  return Status();
}

/// The exit code of a sweep that could be started.
Result<int> Run(const SweepCommandOptions& options, const sweep::BlockedSignals& signals) {
  DCN_RETURN_IF_ERROR(SetUpLogging(kName, options.log_level));
  DCN_ASSIGN_OR_RETURN(sweep::Experiment experiment, sweep::LoadExperiment(options.experiment));
  DCN_RETURN_IF_ERROR(CheckRunOptions(options));
  DCN_RETURN_IF_ERROR(sweep::ApplyOverrides(options.overrides, experiment));
  DCN_ASSIGN_OR_RETURN(sweep::SweepOptions sweep_options, MakeSweepOptions(options, experiment));
  DCN_ASSIGN_OR_RETURN(sweep::SweepFolder folder,
                       sweep::SweepFolder::Open(options.output, kFolderPatience));
  if (Status status = ClaimFolder(experiment, folder); !status.ok()) {
    folder.RemoveIfUnused();
    return status;
  }
  sweep_options.worker.data = experiment.data;
  sweep_options.worker.data_cache = folder.cache();
  DCN_ASSIGN_OR_RETURN(sweep::Journal journal, sweep::Journal::Open(folder.journal()));

  const std::vector<sweep::PlannedRun> runs = sweep::PlanRuns(experiment, folder.path());
  sweep::ProgressDisplay display(stdout, ::isatty(STDERR_FILENO) != 0 ? stderr : nullptr);
  display.Print(DescribeSweep(experiment, runs.size(), sweep_options));
  const sweep::SweepEnd end = sweep::RunSweep(runs, sweep_options, signals, journal, display);
  const Status reported = Report(folder.path());
  std::fflush(stdout);
  if (!end.message.empty()) fmt::print(stderr, "{}: {}\n", kName, end.message);
  if (end.exit_code == kExitDone) DCN_RETURN_IF_ERROR(reported);
  if (!reported.ok()) fmt::print(stderr, "{}: {}\n", kName, reported.message());
  return end.exit_code;
}

int Main(int argc, char** argv) {
  const sweep::BlockedSignals signals;  // before any thread
  SweepCommandOptions options;
  CLI::App app("Runs an experiment, variants x seeds, as dcn_worker processes, and reports.",
               "dcn_sweep");
  app.set_version_flag("--version", VersionText(kName));
  AddSweepOptions(app, options);
  const Result<std::string> text = ParseCommandLine(app, argc, argv);
  if (!text.ok()) return Fail(kName, text.status());
  if (!text->empty()) {
    fmt::print("{}", *text);
    return kExitDone;
  }
  const Result<int> code = Run(options, signals);
  return code.ok() ? *code : Fail(kName, code.status());
}

}  // namespace
}  // namespace dcn::launch

int main(int argc, char** argv) {
  return dcn::launch::RunProgram(dcn::launch::kName, dcn::launch::Main, argc, argv);
}
