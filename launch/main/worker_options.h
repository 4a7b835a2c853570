// The options of dcn_worker: from the command line, and from a TOML file under the same names.
#pragma once

#include <chrono>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/status.h"
#include "launch/main/model_table.h"

namespace dcn::launch {

struct WorkerOptions {
  std::string data;           // folder, "synthetic" or "synthetic-small"
  std::string data_cache;     // folder of encoded data; empty: none
  std::string model = "dcn";  // a named model, unless model_table is given
  std::optional<ModelTable> model_table;
  std::uint64_t seed = 1;
  std::uint64_t epochs = 2;
  std::uint64_t max_steps = 0;      // 0: no limit
  std::uint64_t batch_size = 8192;  // global
  double learning_rate = 0.01;
  double train_fraction = 0.75;
  std::string optimizer = "adam";
  std::string precision = "fp32";
  int threads = 0;           // 0: chosen where the run starts (launch/job/host.h)
  std::uint32_t shards = 0;  // 0: chosen where the run starts
  std::uint64_t slice_rows = 512;
  std::string engine = "auto";
  std::string device = "auto";
  std::string reduce = "ordered";
  std::vector<std::string> servers;  // HOST:PORT of dcn_ps processes; none: shards are inside
  std::string job = "dcn";           // its name on the servers
  std::string token_file;            // empty: the servers ask for no token
  double connect_timeout = 30;       // seconds
  double request_timeout = 60;       // seconds
  std::string output;
  bool predictions = false;
  std::string trace;                   // file; empty: none
  std::string step_file;               // tells how far rank 0 has come; empty: none
  std::string checkpoint_dir;          // empty: no checkpoints
  std::uint64_t checkpoint_every = 0;  // steps; 0: at the end, and where the run is stopped
  std::uint64_t checkpoint_keep = 2;
  double checkpoint_timeout = 300;  // seconds
  bool resume = false;
  std::string inspected_checkpoint;  // print this one instead of training; empty: train
  std::string log_level = "info";
};

/// A time option's value, rounded up.
inline std::chrono::milliseconds ToMilliseconds(double seconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(std::ceil(seconds * 1000)));
}

/// What the command line asks for: to run with these options, or to print a text and end well.
using WorkerCommand = std::variant<WorkerOptions, std::string>;

/// Reads the command line and the file of --config, if any; the command line wins.
/// kInvalidArgument: the option, its value and what is valid; for the file, its name and line.
Result<WorkerCommand> ParseWorkerOptions(int argc, const char* const* argv);

/// Checks what a well-formed experiment file (launch/sweep/experiment.h) sets for dcn_worker in
/// every variant; `given` is what the sweep sets itself. kInvalidArgument: "FILE:LINE: …".
Status CheckExperimentOptions(const std::string& file, const WorkerOptions& given);

}  // namespace dcn::launch
