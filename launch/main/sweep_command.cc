#include "launch/main/sweep_command.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>
#include <system_error>
#include <unistd.h>
#include <vector>

#include "common/thread_pool.h"
#include "launch/main/command_line.h"

namespace dcn::launch {
namespace {

namespace fs = std::filesystem;

/// What a run is made of, and what happens when one of its processes is lost.
void AddProcessOptions(CLI::App& app, SweepCommandOptions& options) {
  app.add_option("--workers", options.workers, "worker processes of each run")
      ->transform(WholeNumber(1, 1024))
      ->capture_default_str();
  app.add_option("--servers", options.servers,
                 "dcn_ps processes of each run; 0: the workers hold the tables")
      ->transform(WholeNumber(0, 1024))
      ->capture_default_str();
  app.add_option(
         "--launcher", options.launcher,
         "how a run is started: local, as one process; mpirun, by launch/train.sh; slurm, by "
         "srun, in an allocation or each run in its own; auto: local or mpirun, by the number of "
         "processes")
      ->check(CLI::IsMember({"auto", "local", "mpirun", "slurm"}))
      ->capture_default_str();
  app.add_option("--train-script", options.train_script,
                 "launch/train.sh; default: that of the repository of this program");
  app.add_option(
         "--checkpoint-every", options.checkpoint_every,
         "steps between checkpoints, from which a lost run goes on; 0: none on the way, and "
         "without any it begins again")
      ->transform(WholeNumber(0, 1'000'000'000))
      ->capture_default_str();
  app.add_option("--max-restarts", options.max_restarts,
                 "how often a run starts again after a signal killed one of its processes, or a "
                 "peer was lost")
      ->transform(WholeNumber(0, 1'000'000))
      ->capture_default_str();
  app.add_option("--stall-timeout", options.stall_timeout,
                 "seconds that a step of a run may take; one that takes longer, as where a worker "
                 "is stopped or hangs, is killed and starts again; 0: as long as it likes")
      ->transform(WholeNumber(0, 999'999))
      ->capture_default_str();
}

Result<fs::path> FindWorker(const SweepCommandOptions& options) {
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

/// launch/train.sh: as given, else of the repository that this program's build folder is in, else
/// of that which it was built from.
Result<fs::path> FindTrainScript(const SweepCommandOptions& options) {
  if (options.launcher == "local" && options.is_several_processes()) {
    return Error(StatusCode::kInvalidArgument,
                 "--launcher local: a run with --workers {} and --servers {} needs mpirun",
                 options.workers, options.servers);
  }
  if (!options.uses_train_script()) return fs::path();
  std::vector<fs::path> places = {options.train_script};
  if (options.train_script.empty()) {
    std::error_code error;
    const fs::path programs = fs::read_symlink("/proc/self/exe", error).parent_path();
    places = {programs.parent_path().parent_path() / "launch" / "train.sh", DCN_TRAIN_SCRIPT};
  }
  for (const fs::path& place : places) {
    std::error_code error;
    if (::access(place.c_str(), X_OK) == 0 && !fs::is_directory(place, error)) {
      return fs::absolute(place);
    }
  }
  return Error(StatusCode::kInvalidArgument,
               "no program {}; name launch/train.sh of the repository with --train-script",
               places.back().string());
}

/// srun of Slurm, from PATH.
Result<fs::path> FindSrun(const SweepCommandOptions& options) {
  if (options.launcher != "slurm") return fs::path();
  if (options.servers > 0) {
    return Error(StatusCode::kInvalidArgument,
                 "--launcher slurm with --servers {}: srun starts workers only, which hold the "
                 "tables themselves; leave --servers out",
                 options.servers);
  }
  const char* const path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    fs::path srun = fs::path(folder) / "srun";
    std::error_code error;
    if (::access(srun.c_str(), X_OK) == 0 && !fs::is_directory(srun, error)) {
      return fs::absolute(srun);
    }
  }
  return Error(StatusCode::kInvalidArgument,
               "--launcher slurm: no program srun in PATH; start dcn_sweep where Slurm is");
}

/// A positive number from the environment; 0: there is none.
int NumberInEnvironment(const char* name) {
  const char* const text = std::getenv(name);
  const int number = text == nullptr ? 0 : std::atoi(text);
  return std::clamp(number, 0, 1'000'000);
}

/// Processors that runs may use: those of this machine or, under Slurm, of its allocation.
struct Processors {
  int count = 1;
  int per_worker = 0;  // 0: as the options and the slots divide them
};

Processors FindProcessors(const SweepCommandOptions& options) {
  const int tasks = NumberInEnvironment("SLURM_NTASKS");
  if (options.launcher != "slurm" || tasks == 0) return {.count = AvailableProcessors()};
  const int per_task = std::max(1, NumberInEnvironment("SLURM_CPUS_PER_TASK"));
  return {.count = tasks * per_task, .per_worker = per_task};
}

/// How runs are started, but for the data.
Result<sweep::WorkerCommand> MakeWorkerCommand(const SweepCommandOptions& options) {
  sweep::WorkerCommand command;
  DCN_ASSIGN_OR_RETURN(command.program, FindWorker(options));
  DCN_ASSIGN_OR_RETURN(command.train_script, FindTrainScript(options));
  DCN_ASSIGN_OR_RETURN(command.srun, FindSrun(options));
  if (!command.train_script.empty() && command.program.filename() != "dcn_worker") {
    return Error(StatusCode::kInvalidArgument,
                 "--worker {}: launch/train.sh wants a program named dcn_worker",
                 command.program.string());
  }
  command.checkpoint_every = options.checkpoint_every;
  command.workers = options.workers;
  command.servers = options.servers;
  command.stall_timeout = std::chrono::seconds(options.stall_timeout);
  return command;
}

}  // namespace

void AddSweepOptions(CLI::App& app, SweepCommandOptions& options) {
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
      ->transform(WholeNumber())
      ->delimiter(',')
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--variants", options.overrides.variants, "only these variants, as in dcn,dnn")
      ->delimiter(',')
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--epochs", options.overrides.epochs, "other passes over the training ratings")
      ->transform(WholeNumber(1, 1'000'000));
  app.add_option("--slots", options.slots, "runs side by side; 0: one for each processor")
      ->transform(WholeNumber(0, 1024))
      ->capture_default_str();
  app.add_option(
         "--threads", options.threads,
         "computing threads of a worker; 0: the processors divided by the slots and workers")
      ->transform(WholeNumber(0, 1024))
      ->capture_default_str();
  AddProcessOptions(app, options);
  app.add_option("--worker", options.worker, "dcn_worker program; default: the one beside this");
  AddLogLevelOption(app, options.log_level);
}

/// Slots and threads where the command line leaves them open: a worker with one thread on each
/// processor, or more threads where there are fewer workers.
Result<sweep::SweepOptions> MakeSweepOptions(const SweepCommandOptions& options,
                                             const sweep::Experiment& experiment) {
  const Processors processors = FindProcessors(options);
  const auto runs = static_cast<int>(
      std::min<std::size_t>(experiment.seeds.size() * experiment.variants.size(), 1024));
  sweep::SweepOptions sweep_options;
  DCN_ASSIGN_OR_RETURN(sweep_options.worker, MakeWorkerCommand(options));
  const int threads = options.threads > 0 ? options.threads : processors.per_worker;  // 0: open
  const int of_a_run = options.workers * (processors.per_worker > 0 ? threads : 1);
  const int side_by_side = std::max(1, processors.count / of_a_run);
  sweep_options.slots = options.slots > 0 ? options.slots : std::min(side_by_side, runs);
  sweep_options.worker.threads =
      threads > 0 ? threads
                  : std::max(1, processors.count / (sweep_options.slots * options.workers));
  sweep_options.max_restarts = options.max_restarts;
  return sweep_options;
}

}  // namespace dcn::launch
