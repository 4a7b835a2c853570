// A sweep's folder as dcn_sweep leaves it, with made-up runs: three variants, embedding widths that
// differ, one stack of a low-rank and a full cross layer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/file/safetensors.h"
#include "launch/sweep/sweep_record.h"
#include "worker/export/result.h"

namespace dcn::testing {

/// A tensor that owns its values.
struct FixtureTensor {
  std::string name;
  std::vector<std::size_t> shape;
  std::vector<float> values;
};

/// The features of every fixture model, and the widths of their embeddings.
const std::vector<std::string>& FixtureFeatures();
const std::vector<std::size_t>& FixtureWidths();

/// Variants "full" (one full layer), "stacked" (rank 3, then full), "deep" (no cross layer).
sweep::SweepRecord FixtureRecord(const std::vector<std::uint64_t>& seeds);

/// A run's result, with a loss curve that falls from about 13 to below 1.
output::RunResult FixtureResult(const std::string& variant, std::uint64_t seed);

/// The tensors of a run's model, a function of (variant, seed).
std::vector<FixtureTensor> FixtureModel(const std::string& variant, std::uint64_t seed);

/// Writes the tensors as a model.safetensors to `folder`.
void WriteFixtureModel(const std::vector<FixtureTensor>& model,
                       const std::filesystem::path& folder);

/// Writes result.json and model.safetensors into the run's folder below `output`.
void WriteFixtureRun(const std::filesystem::path& output, const std::string& variant,
                     std::uint64_t seed);

/// Writes sweep.json, the journal and all runs.
void WriteFixtureSweep(const std::filesystem::path& output,
                       const std::vector<std::uint64_t>& seeds);

}  // namespace dcn::testing
