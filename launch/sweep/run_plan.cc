#include "launch/sweep/run_plan.h"

#include <algorithm>
#include <system_error>

#include "common/file/atomic_write.h"
#include "common/file/mapped_file.h"
#include "launch/sweep/toml_json.h"

namespace dcn::sweep {

namespace fs = std::filesystem;

constexpr int kMaxScriptRestarts = 999'999;  // that train.sh takes

fs::path RunFolder(const fs::path& output, const std::string& variant, std::uint64_t seed) {
  return output / variant / ("seed-" + std::to_string(seed));
}

std::vector<PlannedRun> PlanRuns(const Experiment& experiment, const fs::path& output) {
  std::vector<PlannedRun> runs;
  for (const std::uint64_t seed : experiment.seeds) {
    for (const Variant& variant : experiment.variants) {
      runs.push_back({variant.name, seed, RunFolder(output, variant.name, seed),
                      "# Written by dcn_sweep: variant " + variant.name + " of " + experiment.name +
                          ".\n" + TomlFromJson(variant.options)});
    }
  }
  return runs;
}

std::vector<std::string> RunArguments(const WorkerCommand& command, const PlannedRun& run,
                                      int restarts_left, const std::string& step_files) {
  std::vector<std::string> arguments = {command.program.string()};
  if (!command.train_script.empty()) {
    // --oversubscribe: how many runs share the processors is decided by the sweep's slots.
    arguments = {command.train_script.string(), "--stall-timeout",
                 std::to_string(command.stall_timeout.count())};
    if (!step_files.empty()) arguments.insert(arguments.end(), {"--step-files", step_files});
    arguments.insert(arguments.end(),
                     {"--bin", command.program.parent_path().string(), "--workers",
                      std::to_string(command.workers), "--servers", std::to_string(command.servers),
                      "--oversubscribe", "--max-restarts",
                      std::to_string(std::min(restarts_left, kMaxScriptRestarts)), "--"});
  } else if (!command.srun.empty()) {
    // --exact: steps of one allocation run side by side, each on processors of its own.
    arguments = {command.srun.string(),
                 "--job-name=dcn-" + run.variant + "-" + std::to_string(run.seed),
                 "--ntasks=" + std::to_string(command.workers),
                 "--cpus-per-task=" + std::to_string(command.threads),
                 "--exact",
                 "--mpi=pmix",
                 "--kill-on-bad-exit=1",
                 command.program.string()};
  } else if (!step_files.empty()) {
    arguments.insert(arguments.end(), {"--step-file", step_files + ".0"});
  }
  arguments.insert(arguments.end(),
                   {"--config", run.config_file().string(), "--seed", std::to_string(run.seed),
                    "--data", command.data, "--data-cache", command.data_cache.string(), "--output",
                    run.folder.string(), "--threads", std::to_string(command.threads)});
  std::error_code error;
  if (command.checkpoint_every > 0 || fs::exists(run.checkpoints(), error)) {
    arguments.insert(arguments.end(),
                     {"--checkpoint-dir", run.checkpoints().string(), "--checkpoint-every",
                      std::to_string(command.checkpoint_every), "--resume"});
  }
  return arguments;
}

Result<output::RunResult> ReadFinishedRun(const PlannedRun& run) {
  if (!fs::exists(run.result_file())) {
    return Error(StatusCode::kNotFound, "{} is not there", run.result_file().string());
  }
  DCN_ASSIGN_OR_RETURN(const MappedFile config, MappedFile::Open(run.config_file()));
  if (config.text() != run.config) {
    return Error(StatusCode::kAlreadyExists, "{} is another configuration",
                 run.config_file().string());
  }
  DCN_ASSIGN_OR_RETURN(output::RunResult result, output::ReadResult(run.result_file()));
  if (result.seed != run.seed) {
    return Error(StatusCode::kAlreadyExists, "{}: seed is {}, expected {}",
                 run.result_file().string(), result.seed, run.seed);
  }
  return result;
}

namespace {

enum class ConfigFile { kAbsent, kSame, kOther };

ConfigFile CompareConfigFile(const PlannedRun& run) {
  const Result<MappedFile> config = MappedFile::Open(run.config_file());
  if (!config.ok()) return ConfigFile::kAbsent;
  return config->text() == run.config ? ConfigFile::kSame : ConfigFile::kOther;
}

}  // namespace

Status MakeRunFolder(const PlannedRun& run) {
  std::error_code error;
  fs::create_directories(run.folder, error);
  if (!error) return Status();
  return FileError(StatusCode::kInvalidArgument, "cannot make the folder", run.folder,
                   error.value());
}

Status RemoveCheckpoints(const PlannedRun& run) {
  std::error_code error;
  fs::remove_all(run.checkpoints(), error);
  if (!error) return Status();
  return FileError(StatusCode::kInvalidArgument, "cannot remove", run.checkpoints(), error.value());
}

Status PrepareRun(const PlannedRun& run) {
  DCN_RETURN_IF_ERROR(MakeRunFolder(run));
  std::error_code error;
  fs::remove(run.result_file(), error);
  if (error) {
    return FileError(StatusCode::kInvalidArgument, "cannot remove", run.result_file(),
                     error.value());
  }
  const ConfigFile config = CompareConfigFile(run);
  if (config == ConfigFile::kSame) return Status();  // where the disk is full, too
  if (config == ConfigFile::kOther) DCN_RETURN_IF_ERROR(RemoveCheckpoints(run));
  return WriteFileAtomically(run.config_file(), run.config);
}

}  // namespace dcn::sweep
