// result.json: what a run did, with what, and how well.
//
// Written last into a run's folder: a folder with a result.json holds a finished run. Everything
// that decides the answer stands under "configuration", so that two results can be compared field
// by field, and a folder is never overwritten by a run of another configuration.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/status.h"

namespace dcn::output {

inline constexpr std::string_view kResultFile = "result.json";

/// At most this many points stand in RunResult::loss_curve, however long the run.
inline constexpr std::size_t kMaxLossPoints = 200;

/// The mean training loss over the steps after the previous point, up to and including `step`.
struct LossPoint {
  std::uint64_t step = 0;  // counts from 1
  double loss = 0;
  friend bool operator==(const LossPoint&, const LossPoint&) = default;
};

struct EpochResult {
  double train_loss = 0;  // mean squared error over the epoch's rows, as seen while training
  double seconds = 0;
  friend bool operator==(const EpochResult&, const EpochResult&) = default;
};

struct DataSummary {
  std::string name;  // "ml-1m", …
  std::uint64_t rows = 0;
  std::uint64_t train_rows = 0;
  std::uint64_t test_rows = 0;
  std::optional<double> noise_floor_rmse;  // of synthetic data (Dataset); absent in the file else
  friend bool operator==(const DataSummary&, const DataSummary&) = default;
};

struct MachineSummary {
  std::string cpu_model;
  int cores = 0;  // that the process may use
  std::uint64_t memory_bytes = 0;
  friend bool operator==(const MachineSummary&, const MachineSummary&) = default;
};

/// The checkpoints that a run wrote.
struct CheckpointSummary {
  std::uint64_t written = 0;
  std::uint64_t failed = 0;          // given up
  std::uint64_t skipped = 0;         // the one before was not done
  std::uint64_t bytes = 0;           // of all written
  double seconds = 0;                // from a step to its checkpoint's commit, over all written
  double longest_stall_seconds = 0;  // of a step: all that checkpoints added to it
  friend bool operator==(const CheckpointSummary&, const CheckpointSummary&) = default;
};

/// The fields of result.json, under the same names.
struct RunResult {
  std::string model;  // name of the variant
  std::uint64_t seed = 0;
  double test_rmse = 0;      // over the whole test set; not a number stands as null in the file
  double train_seconds = 0;  // the training loop alone
  double wall_seconds = 0;   // the whole process
  std::optional<double> startup_seconds;  // of them, before the first step; absent in older files
  double train_rows_per_second = 0;
  std::uint64_t steps = 0;
  std::vector<EpochResult> epochs;
  std::vector<LossPoint> loss_curve;               // in the file: [[step, loss], …]
  std::optional<std::uint64_t> resumed_from_step;  // absent: it began at its beginning
  std::optional<CheckpointSummary> checkpoints;    // absent: none were asked for
  std::uint64_t parameter_count = 0;
  std::string parameter_digest;  // ParameterDigest (model_file.h)
  int workers = 1;
  int servers = 1;        // processes that hold the shards
  int shards = 1;         // over all servers
  int threads = 1;        // of one worker
  std::string precision;  // "fp32", …
  std::string engine;
  std::uint64_t slice_rows = 0;
  std::uint64_t peak_rss_bytes = 0;  // of the largest worker
  std::uint64_t bytes_sent = 0;      // to servers and other workers, over all workers
  std::uint64_t bytes_received = 0;
  DataSummary data;
  nlohmann::json configuration = nlohmann::json::object();  // all that decides the answer
  MachineSummary machine;
  std::map<std::string, std::string> versions;  // "dcn", "compiler", "onednn", …
  friend bool operator==(const RunResult&, const RunResult&) = default;
};

nlohmann::json ToJson(const RunResult& result);

/// Reads what ToJson made; fields that it does not know are ignored. where: the file's name.
/// kDataLoss: "<where>: <field>: expected …", or text that is no JSON.
Result<RunResult> ParseResult(std::string_view text, std::string_view where);

/// Writes `result` to result.json in `folder`, atomically, doubles in full precision.
Status WriteResult(const std::filesystem::path& folder, const RunResult& result);

/// kNotFound: there is no such file. Otherwise as ParseResult.
Result<RunResult> ReadResult(const std::filesystem::path& path);

/// Makes `folder` ready to take the run of `configuration` (RunResult::configuration): creates it
/// where it is missing and checks that a file can be written there.
/// kInvalidArgument: it cannot. kAlreadyExists: it holds a result of another configuration (the
/// message names the first fields that differ, with both values), or a result that cannot be read.
Status CheckOutput(const std::filesystem::path& folder, const nlohmann::json& configuration);

}  // namespace dcn::output
