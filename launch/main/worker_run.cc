#include "launch/main/worker_run.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <spdlog/spdlog.h>

#include "common/thread_pool.h"
#include "launch/job/device_reduction.h"
#include "launch/job/exit_guard.h"
#include "launch/job/run_checkpoints.h"
#include "launch/job/run_shards.h"
#include "launch/job/run_trace.h"
#include "launch/main/exit_code.h"
#include "launch/main/progress_line.h"
#include "launch/main/run_configuration.h"
#include "launch/main/version.h"
#include "worker/communicator/collectives.h"
#include "worker/export/machine.h"
#include "worker/export/model_file.h"
#include "worker/export/predictions.h"
#include "worker/export/result.h"
#include "worker/train/evaluator.h"
#include "worker/train/frozen_batches.h"
#include "worker/train/parameters.h"
#include "worker/train/trainer.h"
#include "worker/train/training_step.h"

namespace dcn::launch {
namespace {

// Between the tries to write the results, some of which other ranks wait for.
constexpr std::array kOutputWaits = {std::chrono::seconds(1), std::chrono::seconds(2),
                                     std::chrono::seconds(4), std::chrono::seconds(8),
                                     std::chrono::seconds(15)};

struct Outcome {
  double startup_seconds = 0;
  train::Training training;
  train::Evaluation evaluation;
  std::optional<train::Parameters> parameters;  // rank 0's
  std::size_t servers = 0;
  std::size_t shards = 0;
  ps::Traffic traffic;       // with the servers, and between GPUs
  std::string nccl_version;  // empty: not used
  std::optional<job::ResumePoint> resume_point;
  std::optional<checkpoint::WriterSummary> checkpoints;  // of a run that has some
};

// What all ranks used together.
struct Usage {
  std::uint64_t bytes_sent = 0;      // to servers and other ranks
  std::uint64_t bytes_received = 0;  // from them
  std::uint64_t peak_rss_bytes = 0;  // of the largest rank
};

job::ShardOptions MakeShardOptions(const WorkerSetup& setup, job::RunCheckpoints& checkpoints) {
  const WorkerOptions& options = setup.options;
  return {
      .servers = options.servers,
      .shards = options.shards,
      .job = options.job,
      .token = setup.token,
      .raise_epoch = [&checkpoints](std::uint64_t seen) { return checkpoints.RaiseEpoch(seen); },
      .connect_timeout = ToMilliseconds(options.connect_timeout),
      .request_timeout = ToMilliseconds(options.request_timeout)};
}

job::CheckpointOptions MakeCheckpointOptions(const WorkerSetup& setup) {
  const WorkerOptions& options = setup.options;
  return {.folder = options.checkpoint_dir,
          .every = options.checkpoint_every,
          .keep = options.checkpoint_keep,
          .resumes = options.resume,
          .configuration = setup.configuration,
          .engine = setup.model->engine_description(),
          .version = std::string(kVersion),
          .optimizer = OptimizerFromName(options.optimizer),
          .step_timeout = ToMilliseconds(options.request_timeout),
          .timeout = ToMilliseconds(options.checkpoint_timeout)};
}

train::LoopOptions MakeLoopOptions(const WorkerOptions& options) {
  return {.epochs = options.epochs,
          .max_steps = options.max_steps,
          .learning_rate = static_cast<float>(options.learning_rate)};
}

// Of the dense gradients between GPUs; null where they are combined on the processors, or there is
// one worker.
Result<std::unique_ptr<job::DeviceReduction>> OpenDeviceReduction(const WorkerSetup& setup,
                                                                  const train::BatchCut& cut,
                                                                  comm::Communicator& communicator,
                                                                  ThreadPool& pool) {
  if (!setup.gpu || cut.ranks == 1) return std::unique_ptr<job::DeviceReduction>();
  return job::DeviceReduction::Open({.gpu = *setup.gpu,
                                     .is_ordered = setup.options.reduce == "ordered",
                                     .full_leaves = cut.full_leaves(),
                                     .count = setup.spec.dense_size(),
                                     .timeout = ToMilliseconds(setup.options.request_timeout)},
                                    communicator, pool);
}

// Ends it, and adds to what is known of the run.
Status CloseDeviceReduction(job::DeviceReduction& reduction, Outcome& outcome) {
  outcome.traffic.bytes_sent += reduction.bytes_sent();
  outcome.traffic.bytes_received += reduction.bytes_received();
  outcome.nccl_version = reduction.library_version();
  return reduction.Close();
}

// Takes the steps that are left, and waits for the last checkpoint. A signal that comes too late to
// stop anything is as good as none: all is trained.
Result<train::Training> RunTraining(const WorkerOptions& options, train::FrozenBatches& batches,
                                    train::TrainingStep& step, job::RunCheckpoints& checkpoints,
                                    RunStop& stop, output::StepFile& step_file,
                                    train::Training so_far, bool is_quiet) {
  stop.BeginSteps();
  step_file.BeginSteps(step.step());
  ProgressLine progress_line(!spdlog::should_log(spdlog::level::info) || is_quiet);
  Result<train::Training> training = train::Train(
      MakeLoopOptions(options), batches, step,
      [&](const train::Progress& progress) {
        step_file.TakeStep(progress.step);
        progress_line.Update(progress);
        return true;
      },
      &checkpoints, std::move(so_far));
  progress_line.Finish();
  // After an error of its own a rank cannot wait for the others any more.
  DCN_RETURN_IF_ERROR(checkpoints.failure());
  if (training.ok() || training.status().code() == StatusCode::kCancelled) {
    step_file.EndSteps();
    DCN_RETURN_IF_ERROR(checkpoints.Close());
  }
  (void)stop.EndSteps();  // until here the last checkpoint is awaited, whatever signals come
  if (training.status().code() == StatusCode::kCancelled && !options.checkpoint_dir.empty()) {
    return Error(StatusCode::kCancelled, "{}; --resume goes on from the newest checkpoint in {}",
                 training.status().message(), options.checkpoint_dir);
  }
  return training;
}

// Called by all ranks: takes the folder, and finds what the run goes on from.
Result<std::unique_ptr<job::RunCheckpoints>> OpenCheckpoints(const WorkerSetup& setup,
                                                             job::JobRanks& ranks, RunStop& stop) {
  DCN_ASSIGN_OR_RETURN(std::unique_ptr<job::RunCheckpoints> checkpoints,
                       job::RunCheckpoints::Open(
                           MakeCheckpointOptions(setup), setup.spec,
                           [&stop] { return stop.is_requested(); }, ranks));
  const std::size_t epoch_steps =
      (setup.split.train.size() + setup.options.batch_size - 1) / setup.options.batch_size;
  DCN_RETURN_IF_ERROR(
      checkpoints->Find(train::TotalSteps(MakeLoopOptions(setup.options), epoch_steps)));
  return checkpoints;
}

train::BatchCut MakeCut(const WorkerOptions& options, job::JobRanks& ranks) {
  return {.batch_rows = options.batch_size,
          .slice_rows = options.slice_rows,
          .rank = static_cast<std::uint32_t>(ranks.rank()),
          .ranks = static_cast<std::uint32_t>(ranks.size())};
}

std::vector<float> FirstDense(const WorkerSetup& setup) {
  std::vector<float> dense(setup.spec.dense_size());
  model::InitializeDense(setup.spec, setup.options.seed, dense);
  return dense;
}

// Rank 0 has them, the others nothing.
Result<std::optional<train::Parameters>> ReadParameters(const WorkerSetup& setup,
                                                        train::Shards& shards,
                                                        const train::TrainingStep& step,
                                                        job::JobRanks& ranks) {
  if (!ranks.is_first()) return std::optional<train::Parameters>();
  DCN_ASSIGN_OR_RETURN(train::Parameters parameters,
                       train::Parameters::Read(setup.spec, shards, step.dense_parameters()));
  return std::optional<train::Parameters>(std::move(parameters));
}

Result<Outcome> TrainAndEvaluate(const WorkerSetup& setup, job::JobRanks& ranks, RunStop& stop,
                                 output::StepFile& step_file) {
  const WorkerOptions& options = setup.options;
  const ps::OptimizerOptions optimizer = OptimizerFromName(options.optimizer);
  ThreadPool pool(options.threads);
  DCN_ASSIGN_OR_RETURN(const std::unique_ptr<job::RunCheckpoints> checkpoints,
                       OpenCheckpoints(setup, ranks, stop));
  const std::vector<ps::TableDefinition> tables =
      train::TableDefinitions(setup.spec, options.seed, optimizer);
  DCN_ASSIGN_OR_RETURN(
      const std::unique_ptr<job::RunShards> shards,
      job::RunShards::Open(MakeShardOptions(setup, *checkpoints), tables, setup.hosts, ranks));
  const train::BatchCut cut = MakeCut(options, ranks);
  DCN_ASSIGN_OR_RETURN(const std::unique_ptr<job::DeviceReduction> device_reduction,
                       OpenDeviceReduction(setup, cut, ranks.communicator(), pool));
  std::optional<job::RunTrace> trace;
  if (!options.trace.empty()) {
    DCN_ASSIGN_OR_RETURN(trace, job::RunTrace::Begin(options.threads, shards->clients().size(),
                                                     setup.hosts, ranks.communicator()));
  }
  train::TrainingStep step(
      setup.spec,
      {.cut = cut,
       .optimizer = optimizer,
       .reduction = device_reduction ? &device_reduction->reduction() : nullptr,
       .trace = trace ? &trace->trace() : nullptr},
      FirstDense(setup), *setup.model, shards->clients(), ranks.communicator(), pool);
  const auto shard_count = static_cast<std::uint32_t>(shards->clients().size());
  const data::TableLayout layout = train::MakeTableLayout(setup.spec, shard_count);
  train::FrozenBatches batches(setup.dataset, setup.split.train, cut, layout);

  train::Training so_far;
  DCN_RETURN_IF_ERROR(checkpoints->Start(tables, shards->epoch(), shards->clients(), step, so_far));

  const double startup_seconds = setup.since_start.seconds();
  Result<train::Training> trained = RunTraining(options, batches, step, *checkpoints, stop,
                                                step_file, std::move(so_far), !ranks.is_first());
  if (trained.status().code() == StatusCode::kCancelled) DCN_RETURN_IF_ERROR(shards->Close());
  DCN_ASSIGN_OR_RETURN(train::Training training, std::move(trained));
  if (trace) DCN_RETURN_IF_ERROR(trace->Write(options.trace, ranks.communicator()));
  DCN_ASSIGN_OR_RETURN(train::Evaluation evaluation,
                       train::Evaluate(step, setup.dataset, setup.split.test, options.slice_rows,
                                       layout, ranks.communicator(), pool));
  DCN_ASSIGN_OR_RETURN(std::optional<train::Parameters> parameters,
                       ReadParameters(setup, shards->clients(), step, ranks));
  DCN_RETURN_IF_ERROR(shards->Close());
  Outcome outcome{.startup_seconds = startup_seconds,
                  .training = std::move(training),
                  .evaluation = std::move(evaluation),
                  .parameters = std::move(parameters),
                  .servers = shards->servers(),
                  .shards = shard_count,
                  .traffic = shards->traffic(),
                  .nccl_version = {},
                  .resume_point = checkpoints->resume_point(),
                  .checkpoints = std::nullopt};
  if (!options.checkpoint_dir.empty()) outcome.checkpoints = checkpoints->summary();
  if (device_reduction) DCN_RETURN_IF_ERROR(CloseDeviceReduction(*device_reduction, outcome));
  return outcome;
}

Result<Usage> GatherUsage(const ps::Traffic& traffic, comm::Communicator& communicator) {
  const auto ranks = static_cast<std::size_t>(communicator.size());
  constexpr std::size_t kWords = 3;
  std::vector<std::uint64_t> words(ranks * kWords);
  std::uint64_t* const own = words.data() + static_cast<std::size_t>(communicator.rank()) * kWords;
  own[0] = traffic.bytes_sent + communicator.bytes_sent();
  own[1] = traffic.bytes_received + communicator.bytes_received();
  own[2] = output::PeakRssBytes();
  std::vector<std::size_t> bounds;
  for (std::size_t rank = 0; rank <= ranks; ++rank) bounds.push_back(rank * kWords);
  DCN_RETURN_IF_ERROR(comm::AllGatherRanges(communicator, std::span(words), bounds,
                                            "gathering what the ranks used"));
  Usage usage;
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    usage.bytes_sent += words[rank * kWords];
    usage.bytes_received += words[rank * kWords + 1];
    usage.peak_rss_bytes = std::max(usage.peak_rss_bytes, words[rank * kWords + 2]);
  }
  return usage;
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

output::RunResult MakeResult(const WorkerSetup& setup, const Outcome& outcome, const Usage& usage,
                             job::JobRanks& ranks) {
  const WorkerOptions& options = setup.options;
  output::RunResult result;
  result.model = setup.spec.name;
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
  if (outcome.resume_point) result.resumed_from_step = outcome.resume_point->step;
  if (outcome.checkpoints) {
    const checkpoint::WriterSummary& summary = *outcome.checkpoints;
    result.checkpoints = {.written = summary.written,
                          .failed = summary.failed,
                          .skipped = summary.skipped,
                          .bytes = summary.bytes,
                          .seconds = summary.seconds,
                          .longest_stall_seconds = summary.longest_stall_seconds};
  }
  result.parameter_count = setup.spec.dense_size() + setup.spec.embedding_size();
  result.parameter_digest = output::ParameterDigest(outcome.parameters->tensors());
  result.workers = ranks.size();
  result.servers = static_cast<int>(outcome.servers);
  result.shards = static_cast<int>(outcome.shards);
  result.threads = options.threads;
  result.precision = options.precision;
  result.engine = EngineName(options);
  result.slice_rows = options.slice_rows;
  result.data = {.name = setup.dataset.name(),
                 .rows = setup.dataset.rows(),
                 .train_rows = setup.split.train.size(),
                 .test_rows = setup.split.test.size(),
                 .noise_floor_rmse = setup.dataset.noise_floor_rmse()};
  result.configuration = setup.configuration;
  result.machine = output::DescribeMachine();
  result.versions = {{"dcn", std::string(kVersion)},
                     {"compiler", std::string(CompilerText())},
                     {"engine", setup.model->engine_description()}};
  if (!outcome.nccl_version.empty()) result.versions["nccl"] = outcome.nccl_version;
  if (const std::string mpi = ranks.mpi_version(); !mpi.empty()) result.versions["mpi"] = mpi;
  result.peak_rss_bytes = usage.peak_rss_bytes;
  result.bytes_sent = usage.bytes_sent;
  result.bytes_received = usage.bytes_received;
  result.startup_seconds = outcome.startup_seconds;
  result.wall_seconds = setup.since_start.seconds();
  return result;
}

// The model first, result.json last: a folder with a result.json is complete.
Status WriteOutput(const WorkerSetup& setup, const Outcome& outcome,
                   const output::RunResult& result) {
  const WorkerOptions& options = setup.options;
  const std::filesystem::path folder = options.output;
  DCN_RETURN_IF_ERROR(output::WriteModel(folder, setup.spec.name, options.seed,
                                         outcome.parameters->tensors(),
                                         setup.dataset.vocabularies()));
  if (options.predictions) {
    DCN_RETURN_IF_ERROR(output::WritePredictions(folder / output::kPredictionsFile, setup.dataset,
                                                 setup.split.test, outcome.evaluation.predictions));
  }
  return output::WriteResult(folder, result);
}

// A full disk may be made room on, and all that the run has learned is in memory: what cannot be
// written is tried again, with new files.
Status WriteOutputPatiently(const WorkerSetup& setup, const Outcome& outcome,
                            const output::RunResult& result) {
  for (const std::chrono::seconds wait : kOutputWaits) {
    const Status written = WriteOutput(setup, outcome, result);
    if (written.ok()) return written;
    spdlog::warn("the results are not written: {}; trying again in {} s", written.message(),
                 wait.count());
    std::this_thread::sleep_for(wait);
  }
  // The folder was right before: whatever it is, it is not the options.
  const Status written = WriteOutput(setup, outcome, result);
  return written.ok() ? written : Status(StatusCode::kInternal, written.message());
}

}  // namespace

Status RunWorker(const WorkerSetup& setup, job::JobRanks& ranks, RunStop& stop,
                 output::StepFile& step_file) {
  DCN_ASSIGN_OR_RETURN(const Outcome outcome, TrainAndEvaluate(setup, ranks, stop, step_file));
  DCN_ASSIGN_OR_RETURN(const Usage usage, GatherUsage(outcome.traffic, ranks.communicator()));
  if (!ranks.is_first()) return Status();
  const output::RunResult result = MakeResult(setup, outcome, usage, ranks);
  if (!setup.options.output.empty()) {
    // Other ranks wait for as long.
    const job::ExitGuard guard(
        job::kPatience,
        fmt::format("dcn_worker: {}: the results are not written within "
                    "{} s, the disk does not answer",
                    setup.options.output, std::chrono::seconds(job::kPatience).count()),
        kExitFailed);
    DCN_RETURN_IF_ERROR(WriteOutputPatiently(setup, outcome, result));
  }
  fmt::print("test RMSE {:.4f}  ({:.0f} rows/s, {:.2f} s training)\nparameter digest {}\n",
             result.test_rmse, result.train_rows_per_second, result.train_seconds,
             result.parameter_digest);
  if (!setup.options.output.empty()) fmt::print("results in {}\n", setup.options.output);
  return Status();
}

}  // namespace dcn::launch
