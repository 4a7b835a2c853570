// The dense part of a checkpoint: parameters with their optimizer state, the rates of all steps,
// the losses.
//
//   losses      F64 [steps]   mean squared error of each step's batch
//   step_sizes  F32 [steps]   what the optimizer multiplied with (train/dense_optimizer.h)
//   <tensor>, <tensor>/m, <tensor>/v or <tensor>/accumulator   F32, shapes as in the model
#pragma once

#include <filesystem>
#include <vector>

#include "common/file/checked_tensors.h"
#include "common/status.h"
#include "ps/protocol.h"
#include "worker/model/model_spec.h"
#include "worker/train/dense_optimizer.h"

namespace dcn::checkpoint {

struct DensePart {
  train::DenseState state;
  std::vector<float> step_sizes;  // by step, from 1
  std::vector<double> losses;     // the same
};

/// Errors: those of TensorFileWriter.
[[nodiscard]] Result<TensorFileRecord> WriteDenseFile(const std::filesystem::path& path,
                                                      const model::ModelSpec& spec,
                                                      const ps::OptimizerOptions& optimizer,
                                                      const DensePart& part);

/// kDataLoss: an array is missing or has another size than the model's; or another number of steps
/// than `step`.
[[nodiscard]] Result<DensePart> ReadDenseFile(const SafetensorsFile& file,
                                              const model::ModelSpec& spec,
                                              const ps::OptimizerOptions& optimizer, ps::Step step);

}  // namespace dcn::checkpoint
