#include "launch/main/worker_options.h"

#include <set>
#include <vector>

#include <CLI/CLI.hpp>

#include "common/net/address.h"
#include "launch/main/command_line.h"
#include "launch/main/version.h"
#include "ps/message.h"
#include "ps/partition.h"

namespace dcn::launch {
namespace {

constexpr const char* kDescription =
    "Trains one Deep & Cross Network on MovieLens ratings and evaluates it on the test set.\n"
    "Writes result.json, model.safetensors and vocabulary.json to --output.";

void AddDataOptions(CLI::App& app, WorkerOptions& options) {
  app.add_option(
      "--data", options.data,
      "folder with MovieLens-1M or -100K in its official format, or 'synthetic' (a built-in "
      "data set of ML-1M's size), or 'synthetic-small'");
  app.add_option("--data-cache", options.data_cache,
                 "folder that keeps the encoded data for the next run");
  app.add_option("--train-fraction", options.train_fraction,
                 "part of the ratings that trains; the rest tests")
      ->check(NumberThat("above 0 and below 1", [](double part) { return part > 0 && part < 1; }))
      ->capture_default_str();
}

void AddTrainingOptions(CLI::App& app, WorkerOptions& options) {
  app.add_option("--model", options.model,
                 "dcn, dcn-lowrank or dnn, in place of the [model] table that --config may have "
                 "for any other")
      ->check(CLI::IsMember({"dcn", "dcn-lowrank", "dnn"}))
      ->capture_default_str();
  app.add_option("--seed", options.seed, "seed of the first weights")
      ->transform(WholeNumber())
      ->capture_default_str();
  app.add_option("--epochs", options.epochs, "passes over the training ratings")
      ->transform(WholeNumber(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--max-steps", options.max_steps, "end after so many steps; 0: no limit")
      ->transform(WholeNumber())
      ->capture_default_str();
  app.add_option("--batch-size", options.batch_size, "ratings a step, over all workers together")
      ->transform(WholeNumber(1, 1U << 24U))
      ->capture_default_str();
  app.add_option("--slice-rows", options.slice_rows,
                 "ratings in a slice, the unit of work of one thread; part of the result")
      ->transform(WholeNumber(1, 65536))
      ->capture_default_str();
  app.add_option("--learning-rate", options.learning_rate, "step size")
      ->check(NumberThat("above 0 and at most 1000",
                         [](double rate) { return rate > 0 && rate <= 1000; }))
      ->capture_default_str();
  app.add_option("--optimizer", options.optimizer,
                 "adam (dense form: every row moves at every step), lazy-adam, adagrad, sgd")
      ->check(CLI::IsMember({"adam", "lazy-adam", "adagrad", "sgd"}))
      ->capture_default_str();
  app.add_option("--precision", options.precision,
                 "of what matrix products read and write: fp32, or bf16 (engine onednn, on "
                 "processors with avx512_bf16 or amx_bf16); weights, optimizer and sums over rows "
                 "are float32 with both")
      ->check(CLI::IsMember({"fp32", "bf16"}))
      ->capture_default_str();
}

void AddMachineOptions(CLI::App& app, WorkerOptions& options) {
  app.add_option(
         "--threads", options.threads,
         "computing threads of this process; 0: the processors that it may use, shared with "
         "the workers that may use the same")
      ->transform(WholeNumber(0, 1024))
      ->capture_default_str();
  app.add_option(
         "--shards", options.shards,
         "parameter server shards in this process; 0: one for each thread, or one where there "
         "are several workers")
      ->transform(WholeNumber(0, ps::kVirtualBuckets))
      ->capture_default_str();
  app.add_option("--engine", options.engine,
                 "onednn (explicit formulas), torch (LibTorch's autograd, the reference; on GPUs, "
                 "too), auto: "
                 "torch with --device cuda, else onednn")
      ->check(CLI::IsMember({"auto", "onednn", "torch"}))
      ->capture_default_str();
  app.add_option("--device", options.device,
                 "where the model is computed: cpu, cuda (a GPU for each worker; with a LibTorch "
                 "that has CUDA), auto: cuda where --engine torch can use it, else cpu")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->capture_default_str();
  app.add_option("--reduce", options.reduce,
                 "how the workers' dense gradients are summed: ordered (one answer, bit for bit), "
                 "fast (NCCL's all-reduce, with --device cuda: the answer's last bits depend on "
                 "the number of workers and on the machine)")
      ->check(CLI::IsMember({"ordered", "fast"}))
      ->capture_default_str();
}

std::vector<std::string> SplitAtCommas(const std::string& text) {
  std::vector<std::string> parts = {""};
  for (const char c : text) {
    if (c == ',') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

// For CLI11: what is wrong with the value of --servers; "" where nothing is.
std::string CheckServers(const std::string& text) {
  std::set<std::string> seen;
  for (const std::string& server : SplitAtCommas(text)) {
    const Result<net::Address> address = net::ParseAddress(server);
    if (!address.ok()) return address.status().message();
    if (address->port == 0) return fmt::format("{} has no port that can be connected to", server);
    if (!seen.insert(server).second) return fmt::format("{} stands there twice", server);
  }
  return {};
}

void AddJobOptions(CLI::App& app, WorkerOptions& options) {
  app.add_option_function<std::string>(
         "--servers",
         [&options](const std::string& text) { options.servers = SplitAtCommas(text); },
         "HOST:PORT,… of the dcn_ps processes that hold the shards; without it the workers hold "
         "them")
      ->check(CLI::Validator(CheckServers, "HOST:PORT,…"));
  app.add_option("--job", options.job, "the run's name on the servers")->capture_default_str();
  app.add_option("--token-file", options.token_file,
                 "file with the servers' shared secret; only its owner may read it");
  app.add_option("--connect-timeout", options.connect_timeout,
                 "seconds within which all servers, and all workers, must be there")
      ->check(NumberIn(0.001, 86'400))
      ->capture_default_str();
  app.add_option("--request-timeout", options.request_timeout,
                 "seconds that a request to a server, or an exchange with the other workers, may "
                 "take; the slowest worker is waited for as long")
      ->check(NumberIn(0.001, 86'400))
      ->capture_default_str();
}

void AddCheckpointOptions(CLI::App& app, WorkerOptions& options) {
  app.add_option("--checkpoint-dir", options.checkpoint_dir,
                 "folder for checkpoints of the whole run, on a file system that all workers and "
                 "servers share; without it there are none");
  app.add_option("--checkpoint-every", options.checkpoint_every,
                 "steps from one checkpoint to the next; 0: only after the last step, and where a "
                 "signal stops the run")
      ->transform(WholeNumber())
      ->capture_default_str();
  app.add_option("--checkpoint-keep", options.checkpoint_keep,
                 "checkpoints that stay, the newest ones")
      ->transform(WholeNumber(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--checkpoint-timeout", options.checkpoint_timeout,
                 "seconds that the end of the run waits for its last checkpoint; one that is not "
                 "written by then, the disk being slow or hanging, has failed")
      ->check(NumberIn(0.001, 86'400))
      ->capture_default_str();
  app.add_flag("--resume", options.resume,
               "go on from the newest usable checkpoint in --checkpoint-dir, on any number of "
               "workers, servers and threads; begin at the beginning where there is none yet");
  app.add_option(
      "--inspect-checkpoint", options.inspected_checkpoint,
      "verify the checkpoint in this folder (or the newest of a --checkpoint-dir), print "
      "what it is, and end");
}

void AddOutputOptions(CLI::App& app, WorkerOptions& options) {
  app.add_option("--output", options.output,
                 "folder for the results; without it they are only printed");
  app.add_flag("--predictions", options.predictions, "also write predictions.csv");
  app.add_option("--trace", options.trace,
                 "file for what each thread did when, in Chrome's trace format (ui.perfetto.dev "
                 "opens it)");
  app.add_option("--step-file", options.step_file,
                 "empty file, on tmpfs such as /dev/shm, that tells after every step how far the "
                 "run has come, even when it is killed; for what starts it again");
  AddLogLevelOption(app, options.log_level);
}

Status CheckRanges(const WorkerOptions& options) {
  if (!options.inspected_checkpoint.empty()) return Status();
  if (options.checkpoint_dir.empty() && (options.resume || options.checkpoint_every > 0)) {
    return Error(StatusCode::kInvalidArgument, "{}: needs --checkpoint-dir, the folder",
                 options.resume ? "--resume" : "--checkpoint-every");
  }
  if (options.data.empty()) {
    return Error(StatusCode::kInvalidArgument,
                 "--data is missing: name the folder of MovieLens-1M or -100K, or 'synthetic'");
  }
  if (options.predictions && options.output.empty()) {
    return Error(StatusCode::kInvalidArgument,
                 "--predictions: needs --output, the folder to write predictions.csv to");
  }
  if (!options.servers.empty() && options.shards != 0) {
    return Error(StatusCode::kInvalidArgument,
                 "--shards: with --servers, shards are where dcn_ps is (dcn_ps --shards)");
  }
  if (options.servers.empty() && !options.token_file.empty()) {
    return Error(StatusCode::kInvalidArgument, "--token-file: needs --servers, who ask for it");
  }
  if (const Status status = ps::CheckJobName(options.job); !status.ok()) {
    return Error(StatusCode::kInvalidArgument, "--job: {}", status.message());
  }
  return Status();
}

void AddOptions(CLI::App& app, WorkerOptions& options) {
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.set_version_flag("--version", VersionText("dcn_worker"));
  AddDataOptions(app, options);
  AddTrainingOptions(app, options);
  AddMachineOptions(app, options);
  AddJobOptions(app, options);
  AddCheckpointOptions(app, options);
  AddOutputOptions(app, options);
}

// Takes the [model] table.
TableHandler ModelInto(WorkerOptions& options) {
  return [&options](const std::string& key, const toml::table& table,
                    const std::string& file) -> Result<bool> {
    if (key != "model") return false;
    DCN_ASSIGN_OR_RETURN(options.model_table, ParseModelTable(table, file));
    return true;
  };
}

Status CheckVariant(const toml::table* training, const toml::table& variant,
                    const std::string& file, WorkerOptions options) {
  CLI::App app(kDescription, "dcn_worker");
  AddOptions(app, options);
  const TableHandler model_into = ModelInto(options);
  for (const toml::table* const settings : {training, variant["training"].as_table()}) {
    if (settings != nullptr) DCN_RETURN_IF_ERROR(ApplyTable(*settings, file, app, model_into));
  }
  if (const toml::node* const model = variant.get("model")) {
    DCN_RETURN_IF_ERROR(ApplyKey("model", *model, file, app, model_into));
  }
  const Status status = CheckRanges(options);
  if (status.ok()) return status;
  return Error(status.code(), "{}:{}: variant {}: {}", file, variant.source().begin.line,
               variant["name"].value_or(std::string()), status.message());
}

}  // namespace

Result<WorkerCommand> ParseWorkerOptions(int argc, const char* const* argv) {
  WorkerOptions options;
  CLI::App app(kDescription, "dcn_worker");
  AddOptions(app, options);
  DCN_ASSIGN_OR_RETURN(std::string text, ParseCommandLine(app, argc, argv, ModelInto(options)));
  if (!text.empty()) return WorkerCommand(std::move(text));
  if (app.count("--model") > 0) options.model_table.reset();
  DCN_RETURN_IF_ERROR(CheckRanges(options));
  return WorkerCommand(std::move(options));
}

Status CheckExperimentOptions(const std::string& file, const WorkerOptions& given) {
  try {
    const toml::table experiment = toml::parse_file(file);
    const toml::array* const variants = experiment["variant"].as_array();
    if (variants == nullptr) return Status();
    for (const toml::node& variant : *variants) {
      DCN_RETURN_IF_ERROR(
          CheckVariant(experiment["training"].as_table(), *variant.as_table(), file, given));
    }
    return Status();
  } catch (const toml::parse_error& error) {
    return Error(StatusCode::kInvalidArgument, "{}:{}: not TOML: {}", file,
                 error.source().begin.line, error.description());
  }
}

}  // namespace dcn::launch
