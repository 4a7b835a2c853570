#include "launch/main/worker_run.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "common/clock.h"
#include "common/thread_pool.h"
#include "launch/main/progress_line.h"
#include "launch/main/run_configuration.h"
#include "launch/main/version.h"
#include "ps/server/local_shard.h"
#include "ps/server/shard.h"
#include "worker/communicator/local.h"
#include "worker/data/encoded_cache.h"
#include "worker/data/split.h"
#include "worker/export/machine.h"
#include "worker/export/model_file.h"
#include "worker/export/predictions.h"
#include "worker/export/result.h"
#include "worker/model/onednn_model.h"
#include "worker/model/torch_loader.h"
#include "worker/train/evaluator.h"
#include "worker/train/frozen_batches.h"
#include "worker/train/parameters.h"
#include "worker/train/trainer.h"
#include "worker/train/training_step.h"

namespace dcn::launch {
namespace {

// What a run consists of, in the order in which it is built.
struct Run {
  data::Dataset dataset;
  data::Split split;
  model::ModelSpec spec;
  nlohmann::json configuration;
  Stopwatch since_start;
};

// The shards of this process and the trainer's way to them.
struct LocalShards {
  std::vector<std::unique_ptr<ps::Shard>> shards;
  train::Shards clients;
};

struct Outcome {
  train::Training training;
  train::Evaluation evaluation;
  train::Parameters parameters;
  std::string engine;
};

Result<model::ModelSpec> MakeSpec(const WorkerOptions& options, const data::Dataset& dataset) {
  const ModelTable table = options.model_table.value_or(ModelTable{});
  DCN_ASSIGN_OR_RETURN(
      std::vector<model::FeatureSpec> features,
      MakeFeatures(dataset.vocabularies(), table.embedding_dimension, table.feature_dimension));
  if (!options.model_table) return model::NamedModel(options.model, std::move(features));
  model::ModelSpec spec{.name = table.name,
                        .features = std::move(features),
                        .cross = table.cross,
                        .deep = table.deep};
  DCN_RETURN_IF_ERROR(spec.Validate());
  return spec;
}

// build/bin/dcn_worker -> build/lib/<plugin>, or beside the program.
std::filesystem::path TorchPluginPath() {
  std::error_code ignored;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  const auto in_lib = program.parent_path().parent_path() / "lib" / model::kTorchPluginFile;
  if (std::filesystem::exists(in_lib, ignored)) return in_lib;
  return program.parent_path() / model::kTorchPluginFile;
}

Result<std::unique_ptr<model::DenseModel>> MakeModel(const WorkerOptions& options,
                                                     const model::ModelSpec& spec) {
  if (options.engine == "torch") {
    return model::LoadTorchModel(TorchPluginPath(), spec, options.threads, options.slice_rows);
  }
  try {
    return model::MakeOnednnModel(spec, options.threads, options.slice_rows);
  } catch (const std::runtime_error& error) {
    return Error(StatusCode::kInternal, "{}; --engine torch computes without oneDNN", error.what());
  }
}

Result<LocalShards> MakeShards(const WorkerOptions& options, const model::ModelSpec& spec) {
  const auto tables =
      train::TableDefinitions(spec, options.seed, OptimizerFromName(options.optimizer));
  LocalShards local;
  for (std::uint32_t s = 0; s < options.shards; ++s) {
    local.shards.push_back(std::make_unique<ps::Shard>());
    local.clients.push_back(std::make_unique<ps::LocalShard>(*local.shards.back()));
    DCN_RETURN_IF_ERROR(local.clients.back()->CreateTables(tables));
  }
  return local;
}

Result<Run> Prepare(const WorkerOptions& options) {
  const Stopwatch since_start;
  DCN_ASSIGN_OR_RETURN(data::Dataset dataset, data::LoadDataset(options.data, options.data_cache));
  DCN_ASSIGN_OR_RETURN(data::Split split, data::MakeSplit(dataset.rows(), options.train_fraction));
  spdlog::info("{}: {} ratings, {} train, {} test; ready after {:.2f} s", dataset.name(),
               dataset.rows(), split.train.size(), split.test.size(), since_start.seconds());
  DCN_ASSIGN_OR_RETURN(model::ModelSpec spec, MakeSpec(options, dataset));
  nlohmann::json configuration = RunConfiguration(options, dataset, spec);
  if (!options.output.empty()) {
    DCN_RETURN_IF_ERROR(output::CheckOutput(options.output, configuration));
  }
  return Run{std::move(dataset), std::move(split), std::move(spec), std::move(configuration),
             since_start};
}

Result<Outcome> TrainAndEvaluate(const WorkerOptions& options, const Run& run, StopSignal& stop) {
  ThreadPool pool(options.threads);
  DCN_ASSIGN_OR_RETURN(const std::unique_ptr<model::DenseModel> model,
                       MakeModel(options, run.spec));
  DCN_ASSIGN_OR_RETURN(LocalShards local, MakeShards(options, run.spec));
  std::vector<float> dense(run.spec.dense_size());
  model::InitializeDense(run.spec, options.seed, dense);
  comm::SingleCommunicator communicator;
  const train::BatchCut cut{.batch_rows = options.batch_size, .slice_rows = options.slice_rows};
  train::TrainingStep step(run.spec,
                           {.cut = cut, .optimizer = OptimizerFromName(options.optimizer)},
                           std::move(dense), *model, local.clients, communicator, pool);
  const data::TableLayout layout = train::MakeTableLayout(run.spec, options.shards);
  train::FrozenBatches batches(run.dataset, run.split.train, cut, layout);

  const train::LoopOptions loop{.epochs = options.epochs,
                                .max_steps = options.max_steps,
                                .learning_rate = static_cast<float>(options.learning_rate)};
  ProgressLine progress_line(!spdlog::should_log(spdlog::level::info));
  Result<train::Training> training =
      train::Train(loop, batches, step, [&](const train::Progress& progress) {
        progress_line.Update(progress);
        return !stop.is_requested();
      });
  progress_line.Finish();
  if (!training.ok()) return training.status();
  DCN_ASSIGN_OR_RETURN(train::Evaluation evaluation,
                       train::Evaluate(step, run.dataset, run.split.test, options.slice_rows,
                                       layout, communicator, pool));
  DCN_ASSIGN_OR_RETURN(train::Parameters parameters,
                       train::Parameters::Read(run.spec, local.clients, step.dense_parameters()));
  return Outcome{*std::move(training), std::move(evaluation), std::move(parameters),
                 model->engine_description()};
}

// The losses of all steps as at most kMaxLossPoints means over equal stretches.
std::vector<output::LossPoint> LossCurve(const std::vector<double>& losses) {
  const std::size_t points = std::min(losses.size(), output::kMaxLossPoints);
  std::vector<output::LossPoint> curve;
  for (std::size_t p = 0; p < points; ++p) {
    const std::size_t begin = p * losses.size() / points;
    const std::size_t end = (p + 1) * losses.size() / points;
    double sum = 0;
    for (std::size_t i = begin; i < end; ++i) sum += losses[i];
    curve.push_back({end, sum / static_cast<double>(end - begin)});
  }
  return curve;
}

output::RunResult MakeResult(const WorkerOptions& options, const Run& run, const Outcome& outcome) {
  output::RunResult result;
  result.model = run.spec.name;
  result.seed = options.seed;
  result.test_rmse = outcome.evaluation.rmse;
  result.train_seconds = outcome.training.seconds;
  result.train_rows_per_second =
      static_cast<double>(outcome.training.rows) / outcome.training.seconds;
  result.steps = outcome.training.losses.size();
  for (const train::Epoch& epoch : outcome.training.epochs) {
    result.epochs.push_back({epoch.mean_loss, epoch.seconds});
  }
  result.loss_curve = LossCurve(outcome.training.losses);
  result.parameter_count = run.spec.dense_size() + run.spec.embedding_size();
  result.parameter_digest = output::ParameterDigest(outcome.parameters.tensors());
  result.workers = 1;
  result.servers = static_cast<int>(options.shards);
  result.threads = options.threads;
  result.precision = options.precision;
  result.engine = EngineName(options);
  result.slice_rows = options.slice_rows;
  result.data = {.name = run.dataset.name(),
                 .rows = run.dataset.rows(),
                 .train_rows = run.split.train.size(),
                 .test_rows = run.split.test.size(),
                 .noise_floor_rmse = run.dataset.noise_floor_rmse()};
  result.configuration = run.configuration;
  result.machine = output::DescribeMachine();
  result.versions = {{"dcn", std::string(kVersion)},
                     {"compiler", std::string(CompilerText())},
                     {"engine", outcome.engine}};
  result.peak_rss_bytes = output::PeakRssBytes();
  result.wall_seconds = run.since_start.seconds();
  return result;
}

// The model first, result.json last: a folder with a result.json is complete.
Status WriteOutput(const WorkerOptions& options, const Run& run, const Outcome& outcome,
                   const output::RunResult& result) {
  const std::filesystem::path folder = options.output;
  DCN_RETURN_IF_ERROR(output::WriteModel(folder, run.spec.name, options.seed,
                                         outcome.parameters.tensors(), run.dataset.vocabularies()));
  if (options.predictions) {
    DCN_RETURN_IF_ERROR(output::WritePredictions(folder / output::kPredictionsFile, run.dataset,
                                                 run.split.test, outcome.evaluation.predictions));
  }
  return output::WriteResult(folder, result);
}

}  // namespace

Status RunWorker(const WorkerOptions& options, StopSignal& stop) {
  DCN_ASSIGN_OR_RETURN(const Run run, Prepare(options));
  DCN_ASSIGN_OR_RETURN(const Outcome outcome, TrainAndEvaluate(options, run, stop));
  const output::RunResult result = MakeResult(options, run, outcome);
  if (!options.output.empty()) {
    DCN_RETURN_IF_ERROR(WriteOutput(options, run, outcome, result));
  }
  fmt::print("test RMSE {:.4f}  ({:.0f} rows/s, {:.2f} s training)\nparameter digest {}\n",
             result.test_rmse, result.train_rows_per_second, result.train_seconds,
             result.parameter_digest);
  return Status();
}

}  // namespace dcn::launch
