// The options of dcn_worker: from the command line, and from a TOML file under the same names.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

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
  int threads = 0;           // 0: the processors this process may use
  std::uint32_t shards = 0;  // 0: one for each thread
  std::uint64_t slice_rows = 512;
  std::string engine = "auto";
  std::string device = "auto";
  std::string output;
  bool predictions = false;
  std::string log_level = "info";
};

/// What the command line asks for: to run with these options, or to print a text and end well.
using WorkerCommand = std::variant<WorkerOptions, std::string>;

/// Reads the command line and the file of --config, if any; the command line wins. Unset threads
/// and shards are filled in.
/// kInvalidArgument: the option, its value and what is valid; for the file, its name and line.
Result<WorkerCommand> ParseWorkerOptions(int argc, const char* const* argv);

}  // namespace dcn::launch
