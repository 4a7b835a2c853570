#include "launch/sweep/run_plan.h"

#include <system_error>

#include "common/file/atomic_write.h"
#include "common/file/mapped_file.h"
#include "launch/sweep/toml_json.h"

namespace dcn::sweep {

namespace fs = std::filesystem;

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

std::vector<std::string> WorkerArguments(const WorkerCommand& command, const PlannedRun& run) {
  return {command.program.string(),
          "--config",
          run.config_file().string(),
          "--seed",
          std::to_string(run.seed),
          "--data",
          command.data,
          "--data-cache",
          command.data_cache.string(),
          "--output",
          run.folder.string(),
          "--threads",
          std::to_string(command.threads)};
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

Status PrepareRun(const PlannedRun& run) {
  std::error_code error;
  fs::create_directories(run.folder, error);
  if (error) {
    return FileError(StatusCode::kInvalidArgument, "cannot make the folder", run.folder,
                     error.value());
  }
  fs::remove(run.result_file(), error);
  if (error) {
    return FileError(StatusCode::kInvalidArgument, "cannot remove", run.result_file(),
                     error.value());
  }
  return WriteFileAtomically(run.config_file(), run.config);
}

}  // namespace dcn::sweep
