// A golden case: a small model that TensorFlow trained for a few steps, with everything that went
// in and came out. Files of this format stand in tests/golden/ and in the folder that the
// environment variable DCN_GOLDEN_DIR names.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "common/status.h"
#include "ps/protocol.h"
#include "worker/model/model_spec.h"

namespace dcn::testing {

/// All parameters of a model.
struct GoldenWeights {
  std::vector<std::vector<float>> tables;  // by feature: [rows, dimension]
  std::vector<float> dense;                // [dense_size], in model order
};

/// One training step: its batch, and what TensorFlow made of it.
struct GoldenStep {
  std::vector<std::vector<ps::Key>> keys;  // by feature: [rows]
  std::vector<float> labels;               // [rows]
  std::vector<double> predictions;         // [rows], before the step is applied
  double loss = 0;                         // mean squared error of these predictions
};

struct GoldenCase {
  std::string name;
  model::ModelSpec spec;
  float learning_rate = 0;
  ps::AdamOptions adam;
  GoldenWeights initial;
  GoldenWeights final;
  std::vector<GoldenStep> steps;
};

/// Reads one file.
/// kNotFound: no such file. kDataLoss: not a golden case; says which entry.
Result<GoldenCase> ReadGoldenCase(const std::filesystem::path& file);

/// The golden files of the repository and, where set, of DCN_GOLDEN_DIR; sorted. Throws
/// std::runtime_error where one of the two folders holds none.
std::vector<std::filesystem::path> GoldenFiles();

/// The parameter name of GoldenFiles()[index] in GoogleTest's letters: "0_dcn".
std::string GoldenTestName(const std::filesystem::path& file, std::size_t index);

}  // namespace dcn::testing
