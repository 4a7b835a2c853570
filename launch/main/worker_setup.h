// What a run needs before its shards: data, model, configuration; the same on all ranks.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/clock.h"
#include "common/status.h"
#include "launch/job/host.h"
#include "launch/job/job_ranks.h"
#include "launch/main/worker_options.h"
#include "worker/data/dataset.h"
#include "worker/data/split.h"
#include "worker/model/dense_model.h"
#include "worker/model/model_spec.h"

namespace dcn::launch {

struct WorkerSetup {
  Stopwatch since_start;         // of the process
  WorkerOptions options;         // threads, shards, engine and device filled in
  std::optional<int> gpu;        // of this rank; none: the model is computed on the processor
  std::vector<job::Host> hosts;  // by rank
  data::Dataset dataset;
  data::Split split;
  model::ModelSpec spec;
  nlohmann::json configuration;
  std::unique_ptr<model::DenseModel> model;
  std::string token;  // of options.token_file
};

/// since_start: of the process. Loads the data, makes the model, readies the output folder (rank
/// 0). Called by all ranks; they have loaded the same data, and been given the same options, when
/// it has succeeded. Otherwise all have the same status, unless an exchange failed (kUnavailable,
/// kDeadlineExceeded, kInternal).
[[nodiscard]] Result<WorkerSetup> SetUpWorker(WorkerOptions options, job::JobRanks& ranks,
                                              const Stopwatch& since_start);

}  // namespace dcn::launch
