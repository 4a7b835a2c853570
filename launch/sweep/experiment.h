// The experiment file: which models, which seeds, which data, which training options.
//
// It names dcn_worker options by their long names and passes them on; what they mean and which
// values are in range is the worker's business. Here stands what a sweep itself needs: names that
// can be folders, seeds without repetition, one value per option.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/status.h"

namespace dcn::sweep {

/// One model of an experiment.
struct Variant {
  std::string name;  // also its folder's name: letters, digits, '.', '_', '-'
  /// Everything its runs share but the seed: dcn_worker options by long name, [training] with the
  /// variant's own [variant.training] over it. "model" is a name or the [model] table as an object,
  /// whose name is the variant's unless it has one.
  nlohmann::json options;
  friend bool operator==(const Variant&, const Variant&) = default;
};

struct Experiment {
  std::string name;
  std::string title;  // the name where the file gives none
  std::string data;   // a folder, relative to where the command runs, or "synthetic…"
  std::vector<std::uint64_t> seeds;
  std::vector<Variant> variants;
};

/// Reads an experiment file.
/// kInvalidArgument: no such file, or "FILE:LINE: KEY: what was expected".
Result<Experiment> LoadExperiment(const std::filesystem::path& file);

/// The same from memory; `file` is for messages.
Result<Experiment> ParseExperiment(std::string_view text, const std::string& file);

/// What the command line changes in an experiment; empty and 0: as the file says.
struct Overrides {
  std::string data = {};
  std::vector<std::uint64_t> seeds = {};
  std::vector<std::string> variants = {};
  std::uint64_t epochs = 0;
};

/// Applies `overrides`. kInvalidArgument: a variant that the experiment does not have, a seed or
/// variant named twice.
Status ApplyOverrides(const Overrides& overrides, Experiment& experiment);

}  // namespace dcn::sweep
