// What a report is made of: the finished runs of a sweep's folder, read once.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "common/status.h"
#include "launch/report/block_norms.h"
#include "launch/sweep/sweep_record.h"
#include "worker/export/result.h"

namespace dcn::report {

/// The maps of one cross layer over the runs of a variant.
struct CrossLayerMap {
  std::size_t layer = 0;
  std::size_t projection_dimension = 0;  // 0: full rank
  MapStatistics statistics;
};

/// A variant and its finished runs, in the order of the seeds.
struct VariantResults {
  std::string name;
  nlohmann::json options;  // as the sweep passed them to the worker
  std::vector<output::RunResult> runs;
  std::vector<std::string> features;        // of the model, in the order of x0
  std::vector<CrossLayerMap> cross_layers;  // empty without cross layers
};

struct SweepResults {
  sweep::SweepRecord record;
  std::vector<VariantResults> variants;  // in the experiment's order, some perhaps without runs
  std::size_t planned_runs = 0;
  std::string finished;  // when the last run ended (UTC, ISO 8601), empty where unknown

  [[nodiscard]] std::size_t finished_runs() const;
};

/// Reads the folder of a sweep. Runs without a result.json are not finished and left out.
/// kNotFound: no sweep there, or a finished run without its model.safetensors. kDataLoss: a file
/// that is not what it should be (named).
Result<SweepResults> ReadSweepResults(const std::filesystem::path& folder);

}  // namespace dcn::report
