// The runs of an experiment: which there are, where each lives, how its worker is called, and
// whether it is finished.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/status.h"
#include "launch/sweep/experiment.h"
#include "worker/export/result.h"

namespace dcn::sweep {

/// One variant with one seed.
struct PlannedRun {
  std::string variant;
  std::uint64_t seed = 0;
  std::filesystem::path folder;  // "<output>/<variant>/seed-<seed>"
  std::string config;            // text of its config.toml

  [[nodiscard]] std::filesystem::path config_file() const { return folder / "config.toml"; }
  [[nodiscard]] std::filesystem::path log_file() const { return folder / "log.txt"; }
  [[nodiscard]] std::filesystem::path result_file() const { return folder / "result.json"; }
};

/// The folder of a run inside the folder of its sweep.
std::filesystem::path RunFolder(const std::filesystem::path& output, const std::string& variant,
                                std::uint64_t seed);

/// All runs, every variant with the first seed first, so that a sweep that is looked at early
/// compares all variants.
std::vector<PlannedRun> PlanRuns(const Experiment& experiment, const std::filesystem::path& output);

/// How a worker is called.
struct WorkerCommand {
  std::filesystem::path program;  // dcn_worker
  std::string data;               // as --data takes it
  std::filesystem::path data_cache;
  int threads = 1;
};

/// argv of the worker of `run`.
std::vector<std::string> WorkerArguments(const WorkerCommand& command, const PlannedRun& run);

/// The result of a run that is finished: its folder has this very configuration and a result of
/// this seed. kNotFound: it has not run. kDataLoss, kAlreadyExists: it must run again (why).
Result<output::RunResult> ReadFinishedRun(const PlannedRun& run);

/// Makes the folder, writes config.toml and removes a result that is not this run's, so that a
/// result.json found later can only be its own.
Status PrepareRun(const PlannedRun& run);

}  // namespace dcn::sweep
