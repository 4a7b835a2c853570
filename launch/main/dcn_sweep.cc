// dcn_sweep: runs an experiment, every variant with every seed, as dcn_worker processes, and
// reports.
//
// Started again with the same --output, it runs what is not finished.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <sstream>
#include <string>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include "common/log.h"
#include "common/thread_pool.h"
#include "launch/main/exit_code.h"
#include "launch/main/program.h"
#include "launch/main/version.h"
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

struct Options {
  std::string experiment;
  std::string output;
  std::string worker;
  std::string launcher = "local";
  std::string log_level = "info";
  sweep::Overrides overrides;
  int slots = 0;    // 0: as many as there are processors
  int threads = 0;  // 0: the processors divided by the slots
  int max_restarts = 1;
};

void AddOptions(CLI::App& app, Options& options) {
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.add_option("EXPERIMENT", options.experiment,
                 "experiment file (TOML), as in launch/experiments")
      ->required();
  app.add_option("--output", options.output,
                 "folder for the runs and the report; an unfinished sweep there goes on")
      ->required();
  app.add_option("--data", options.overrides.data,
                 "another data set than the file's: a folder, 'synthetic' or 'synthetic-small'");
  app.add_option("--seeds", options.overrides.seeds, "other seeds, as in 1,2,3; a folder can grow")
      ->delimiter(',')
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--variants", options.overrides.variants, "only these variants, as in dcn,dnn")
      ->delimiter(',')
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--epochs", options.overrides.epochs, "other passes over the training ratings")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000}));
  app.add_option("--slots", options.slots, "runs side by side; 0: one for each processor")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app.add_option("--threads", options.threads,
                 "computing threads of a run; 0: the processors divided by the slots")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app.add_option("--launcher", options.launcher, "how a run is started")
      ->check(CLI::IsMember({"local"}))
      ->capture_default_str();
  app.add_option("--max-restarts", options.max_restarts,
                 "how often a run starts again after a signal killed it")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str();
  app.add_option("--worker", options.worker, "dcn_worker program; default: the one beside this");
  app.add_option("--log-level", options.log_level, "trace, debug, info, warning, error or off")
      ->capture_default_str();
  app.set_config("--config", "", "TOML file with options under their names; the command line wins");
  app.allow_config_extras(false);
}

Result<fs::path> FindWorker(const Options& options) {
  fs::path worker = options.worker;
  std::error_code error;
  if (worker.empty()) {
    worker = fs::read_symlink("/proc/self/exe", error).parent_path() / "dcn_worker";
  }
  if (::access(worker.c_str(), X_OK) != 0 || fs::is_directory(worker, error)) {
    return Error(StatusCode::kInvalidArgument,
                 "no program {}; build dcn_worker, or name it with --worker", worker.string());
  }
  return fs::absolute(worker);
}

/// Slots and threads where the command line leaves them open: a run with one thread on each
/// processor, or more threads where there are fewer runs.
sweep::SweepOptions MakeSweepOptions(const Options& options, const sweep::Experiment& experiment) {
  const int processors = AvailableProcessors();
  const auto runs = static_cast<int>(
      std::min<std::size_t>(experiment.seeds.size() * experiment.variants.size(), 1024));
  sweep::SweepOptions sweep_options;
  sweep_options.slots = options.slots > 0 ? options.slots : std::min(processors, runs);
  sweep_options.worker.threads =
      options.threads > 0 ? options.threads : std::max(1, processors / sweep_options.slots);
  sweep_options.max_restarts = options.max_restarts;
  return sweep_options;
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
Result<int> Run(const Options& options, const sweep::BlockedSignals& signals) {
  DCN_RETURN_IF_ERROR(SetUpLogging(kName, options.log_level));
  DCN_ASSIGN_OR_RETURN(sweep::Experiment experiment, sweep::LoadExperiment(options.experiment));
  DCN_RETURN_IF_ERROR(sweep::ApplyOverrides(options.overrides, experiment));
  sweep::SweepOptions sweep_options = MakeSweepOptions(options, experiment);
  DCN_ASSIGN_OR_RETURN(sweep_options.worker.program, FindWorker(options));
  DCN_ASSIGN_OR_RETURN(sweep::SweepFolder folder, sweep::SweepFolder::Open(options.output));
  if (Status status = ClaimFolder(experiment, folder); !status.ok()) {
    folder.RemoveIfUnused();
    return status;
  }
  sweep_options.worker.data = experiment.data;
  sweep_options.worker.data_cache = folder.cache();
  DCN_ASSIGN_OR_RETURN(sweep::Journal journal, sweep::Journal::Open(folder.journal()));

  const std::vector<sweep::PlannedRun> runs = sweep::PlanRuns(experiment, folder.path());
  sweep::ProgressDisplay display(stdout, ::isatty(STDERR_FILENO) != 0 ? stderr : nullptr);
  display.Print(fmt::format("{}: {} runs, {} at a time, {} thread{} each", experiment.name,
                            runs.size(), sweep_options.slots, sweep_options.worker.threads,
                            sweep_options.worker.threads == 1 ? "" : "s"));
  DCN_ASSIGN_OR_RETURN(const sweep::SweepEnd end,
                       sweep::RunSweep(runs, sweep_options, signals, journal, display));
  DCN_RETURN_IF_ERROR(Report(folder.path()));
  if (!end.message.empty()) {
    std::fflush(stdout);
    fmt::print(stderr, "dcn_sweep: {}\n", end.message);
  }
  return end.exit_code;
}

int Main(int argc, char** argv) {
  const sweep::BlockedSignals signals;  // before any thread
  Options options;
  CLI::App app("Runs an experiment, variants x seeds, as dcn_worker processes, and reports.",
               "dcn_sweep");
  app.set_version_flag("--version", VersionText(kName));
  AddOptions(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::ostringstream ignored;
    if (app.exit(error, std::cout, ignored) == 0) return kExitDone;  // --help, --version
    return Fail(kName,
                Error(StatusCode::kInvalidArgument, "{}; --help lists all options", error.what()));
  }
  const Result<int> code = Run(options, signals);
  return code.ok() ? *code : Fail(kName, code.status());
}

}  // namespace
}  // namespace dcn::launch

int main(int argc, char** argv) {
  return dcn::launch::RunProgram(dcn::launch::kName, dcn::launch::Main, argc, argv);
}
