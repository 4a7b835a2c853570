// The runs of an experiment: which there are, where each lives, how its worker is called, and
// whether it is finished.
#pragma once

#include <chrono>
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
  [[nodiscard]] std::filesystem::path checkpoints() const { return folder / "checkpoints"; }
  /// Held by the run's processes for as long as any of them lives.
  [[nodiscard]] std::filesystem::path lock_file() const { return folder / ".lock"; }
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
  std::uint64_t checkpoint_every = 0;  // steps; 0: no checkpoints
  // launch/train.sh where a run is several processes; empty: it is one, the program itself.
  std::filesystem::path train_script = {};
  int workers = 1;
  int servers = 0;  // dcn_ps processes of each run
  // Slurm's srun where it starts the workers; empty: this machine does. No servers then.
  std::filesystem::path srun = {};
  std::chrono::seconds stall_timeout{300};         // that a step may take; 0: as long as it likes
  std::filesystem::path step_folder = "/dev/shm";  // for step files (step_files.h); not with srun
};

/// argv of the worker of `run`, or of the script that starts its workers and servers, and lost
/// workers again, restarts_left times: the servers go on then; or of srun, which starts its workers
/// as tasks of a step named "dcn-VARIANT-SEED". A run that has checkpoints, if only of an earlier
/// start, goes on from its newest one; where they are decides nothing about the answer, so that
/// they are not in config.toml. step_files: what the names of its step files begin with; empty: it
/// keeps none, as with srun, whose tasks may be on other machines.
std::vector<std::string> RunArguments(const WorkerCommand& command, const PlannedRun& run,
                                      int restarts_left, const std::string& step_files);

/// The result of a run that is finished: its folder has this very configuration and a result of
/// this seed. kNotFound: it has not run. kDataLoss, kAlreadyExists: it must run again (why).
Result<output::RunResult> ReadFinishedRun(const PlannedRun& run);

/// Makes the folder, writes config.toml, and removes a result and, where config.toml was another
/// one, checkpoints, so that those found later can only be this run's own.
Status PrepareRun(const PlannedRun& run);

/// Makes the folder of a run. kInvalidArgument: it cannot be made.
Status MakeRunFolder(const PlannedRun& run);

/// Removes the checkpoints of a run that needs them no more. kInvalidArgument: that failed.
Status RemoveCheckpoints(const PlannedRun& run);

}  // namespace dcn::sweep
