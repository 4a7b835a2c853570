// All parameters of a trained model, by name: tables read back from their shards, dense tensors.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/file/safetensors.h"
#include "common/status.h"
#include "worker/data/batch_plan.h"
#include "worker/model/model_spec.h"
#include "worker/train/training_step.h"

namespace dcn::train {

/// Parameters in the order of the parameter digest: `embedding/<feature>` [rows, dimension] in
/// feature order, then the dense tensors in model order.
class Parameters {
 public:
  /// Reads every row of every table, as of the last step, and copies `dense` ([dense_size]).
  /// Errors: those of ShardClient::Finish.
  static Result<Parameters> Read(const model::ModelSpec& spec, Shards& shards,
                                 std::span<const float> dense);

  [[nodiscard]] std::span<const TensorView> tensors() const { return tensors_; }

 private:
  std::vector<std::vector<float>> tables_;
  std::vector<float> dense_;
  std::vector<TensorView> tensors_;  // into tables_ and dense_, which moving leaves in place
};

/// Sets all rows of table `table` (values: [rows, dimension], row i is key i), with a fresh
/// optimizer state. Errors: those of ShardClient::Assign.
Status AssignTable(Shards& shards, ps::TableId table, std::size_t dimension,
                   std::span<const float> values);

}  // namespace dcn::train
