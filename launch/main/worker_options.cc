#include "launch/main/worker_options.h"

#include <algorithm>
#include <limits>
#include <set>
#include <sstream>
#include <vector>

#include <CLI/CLI.hpp>

#include "common/thread_pool.h"
#include "launch/main/version.h"
#include "ps/partition.h"

namespace dcn::launch {
namespace {

constexpr const char* kDescription =
    "Trains one Deep & Cross Network on MovieLens ratings and evaluates it on the test set.\n"
    "Writes result.json, model.safetensors and vocabulary.json to --output.";

// A CLI11 validator with the range in its message.
template <typename T>
CLI::Range InRange(T least, T most) {
  return CLI::Range(least, most);
}

void AddDataOptions(CLI::App& app, WorkerOptions& options) {
  app.add_option(
      "--data", options.data,
      "folder with MovieLens-1M or -100K in its official format, or 'synthetic' (a built-in "
      "data set of ML-1M's size), or 'synthetic-small'");
  app.add_option("--data-cache", options.data_cache,
                 "folder that keeps the encoded data for the next run");
  app.add_option("--train-fraction", options.train_fraction,
                 "part of the ratings that trains; the rest tests (above 0, below 1)")
      ->capture_default_str();
}

void AddTrainingOptions(CLI::App& app, WorkerOptions& options) {
  app.add_option("--model", options.model,
                 "dcn, dcn-lowrank or dnn; a [model] table in --config describes any other")
      ->check(CLI::IsMember({"dcn", "dcn-lowrank", "dnn"}))
      ->capture_default_str();
  app.add_option("--seed", options.seed, "seed of the first weights")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--epochs", options.epochs, "passes over the training ratings")
      ->check(InRange<std::uint64_t>(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--max-steps", options.max_steps, "end after so many steps; 0: no limit")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--batch-size", options.batch_size, "ratings a step, over all workers together")
      ->check(InRange<std::uint64_t>(1, 1U << 24U))
      ->capture_default_str();
  app.add_option("--slice-rows", options.slice_rows,
                 "ratings in a slice, the unit of work of one thread; part of the result")
      ->check(InRange<std::uint64_t>(1, 65536))
      ->capture_default_str();
  app.add_option("--learning-rate", options.learning_rate, "step size (above 0, at most 1000)")
      ->capture_default_str();
  app.add_option("--optimizer", options.optimizer,
                 "adam (dense form: every row moves at every step), lazy-adam, adagrad, sgd")
      ->check(CLI::IsMember({"adam", "lazy-adam", "adagrad", "sgd"}))
      ->capture_default_str();
  app.add_option("--precision", options.precision, "of products and weights")
      ->check(CLI::IsMember({"fp32"}))
      ->capture_default_str();
}

void AddMachineOptions(CLI::App& app, WorkerOptions& options) {
  app.add_option("--threads", options.threads,
                 "computing threads; 0: the processors this process may use")
      ->check(InRange(0, 1024))
      ->capture_default_str();
  app.add_option("--shards", options.shards,
                 "parameter server shards in this process; 0: one for each thread")
      ->check(InRange<std::uint32_t>(0, ps::kVirtualBuckets))
      ->capture_default_str();
  app.add_option(
         "--engine", options.engine,
         "onednn (explicit formulas), torch (LibTorch's autograd, the reference), auto: onednn")
      ->check(CLI::IsMember({"auto", "onednn", "torch"}))
      ->capture_default_str();
  app.add_option("--device", options.device, "where the model is computed")
      ->check(CLI::IsMember({"auto", "cpu"}))
      ->capture_default_str();
}

void AddOutputOptions(CLI::App& app, WorkerOptions& options) {
  app.add_option("--output", options.output,
                 "folder for the results; without it they are only printed");
  app.add_flag("--predictions", options.predictions, "also write predictions.csv");
  app.add_option("--log-level", options.log_level, "trace, debug, info, warning, error or off")
      ->capture_default_str();
}

// A TOML value as it would stand on the command line; nothing for what no option takes.
std::optional<std::string> CommandLineValue(const toml::node& node) {
  if (const auto text = node.value_exact<std::string>()) return *text;
  if (const auto flag = node.value_exact<bool>()) return *flag ? "true" : "false";
  if (const auto whole = node.value_exact<std::int64_t>()) return fmt::format("{}", *whole);
  if (const auto number = node.value_exact<double>()) return fmt::format("{}", *number);
  return std::nullopt;
}

// Turns the file into arguments that stand before the command line's own.
Status ReadConfig(const std::string& file, const CLI::App& app, WorkerOptions& options,
                  std::vector<std::string>& arguments) {
  toml::table table;
  try {
    table = toml::parse_file(file);
  } catch (const toml::parse_error& error) {
    return Error(StatusCode::kInvalidArgument, "{}:{}: {}", file, error.source().begin.line,
                 error.description());
  }
  for (const auto& [key, node] : table) {
    const auto line = key.source().begin.line;
    if (key.str() == "model" && node.is_table()) {
      DCN_ASSIGN_OR_RETURN(options.model_table, ParseModelTable(*node.as_table(), file));
      continue;
    }
    const std::string name = fmt::format("--{}", key.str());
    if (name == "--config" || app.get_option_no_throw(name) == nullptr) {
      return Error(StatusCode::kInvalidArgument,
                   "{}:{}: unknown key '{}'; a key is an option of dcn_worker without its dashes",
                   file, line, key.str());
    }
    const std::optional<std::string> value = CommandLineValue(node);
    if (!value) {
      return Error(StatusCode::kInvalidArgument, "{}:{}: {}: expected one value", file, line,
                   key.str());
    }
    arguments.push_back(fmt::format("{}={}", name, *value));
  }
  return Status();
}

Status CheckRanges(const WorkerOptions& options) {
  if (options.data.empty()) {
    return Error(StatusCode::kInvalidArgument,
                 "--data is missing: name the folder of MovieLens-1M or -100K, or 'synthetic'");
  }
  if (!(options.train_fraction > 0 && options.train_fraction < 1)) {
    return Error(StatusCode::kInvalidArgument, "--train-fraction: {} is not above 0 and below 1",
                 options.train_fraction);
  }
  if (!(options.learning_rate > 0 && options.learning_rate <= 1000)) {
    return Error(StatusCode::kInvalidArgument,
                 "--learning-rate: {} is not above 0 and at most 1000", options.learning_rate);
  }
  if (options.predictions && options.output.empty()) {
    return Error(StatusCode::kInvalidArgument,
                 "--predictions: needs --output, the folder to write predictions.csv to");
  }
  return Status();
}

}  // namespace

Result<WorkerCommand> ParseWorkerOptions(int argc, const char* const* argv) {
  WorkerOptions options;
  CLI::App app(kDescription, "dcn_worker");
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.set_version_flag("--version", VersionText("dcn_worker"));
  std::string config;
  app.add_option("--config", config,
                 "TOML file with options under their names; the command line wins");
  AddDataOptions(app, options);
  AddTrainingOptions(app, options);
  AddMachineOptions(app, options);
  AddOutputOptions(app, options);

  const std::vector<std::string> own(argv + 1, argv + argc);
  const auto parse = [&app](std::vector<std::string> arguments) -> Result<std::string> {
    try {
      std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
      app.parse(arguments);
      return std::string();
    } catch (const CLI::ParseError& error) {
      std::ostringstream out;
      std::ostringstream ignored;
      if (app.exit(error, out, ignored) == 0) return out.str();  // --help, --version
      return Error(StatusCode::kInvalidArgument, "{}; --help lists all options", error.what());
    }
  };
  DCN_ASSIGN_OR_RETURN(std::string text, parse(own));
  if (!text.empty()) return WorkerCommand(std::move(text));
  if (!config.empty()) {
    std::vector<std::string> arguments;
    DCN_RETURN_IF_ERROR(ReadConfig(config, app, options, arguments));
    const bool names_model = app.count("--model") > 0;
    arguments.insert(arguments.end(), own.begin(), own.end());
    const Result<std::string> parsed = parse(std::move(arguments));
    if (!parsed.ok()) {
      return Error(StatusCode::kInvalidArgument, "{} (options of {} included)",
                   parsed.status().message(), config);
    }
    if (names_model) options.model_table.reset();
  }
  DCN_RETURN_IF_ERROR(CheckRanges(options));
  if (options.threads == 0) options.threads = AvailableProcessors();
  if (options.shards == 0) options.shards = static_cast<std::uint32_t>(options.threads);
  return WorkerCommand(std::move(options));
}

}  // namespace dcn::launch
