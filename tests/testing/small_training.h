// A small data set and a whole training run on it, for tests that compare runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/thread_pool.h"
#include "ps/protocol.h"
#include "worker/communicator/communicator.h"
#include "worker/communicator/dense_reduction.h"
#include "worker/data/dataset.h"
#include "worker/model/model_spec.h"
#include "worker/train/evaluator.h"
#include "worker/train/trainer.h"

namespace dcn::testing {

/// Random ratings of three features ("movie_id", "user_id", "user_gender") with 37, 23 and 2
/// values, skewed, every id possible; labels 1..5.
data::Dataset SmallDataset(std::size_t rows, std::uint64_t seed);

/// A DCN on SmallDataset with two cross layers (one low rank) and odd widths.
model::ModelSpec SmallModel(const data::Dataset& dataset);

/// Makes what combines dense gradients over ranks; called in each rank's thread.
using ReductionMaker = std::function<std::unique_ptr<comm::DenseReduction>(
    comm::Communicator& communicator, ThreadPool& pool, std::uint32_t full_leaves,
    std::size_t count)>;

/// Who computes, and what.
struct SmallRun {
  std::uint32_t ranks = 1;  // each in a thread of this process
  int threads = 1;          // of a rank
  std::uint32_t shards = 1;
  std::uint64_t seed = 1;
  std::size_t batch_rows = 100;  // not a multiple of slice_rows: the last slice is short
  std::size_t slice_rows = 8;
  train::LoopOptions loop = {.epochs = 3};
  ps::OptimizerOptions optimizer = ps::AdamOptions{};
  std::string engine = "onednn";
  bool is_on_gpus = false;                  // rank r's model on GPU r (engine torch)
  ReductionMaker make_reduction = nullptr;  // null: TrainingStep's own; else, for several ranks
};

/// What each rank ends with; the same on all of them.
struct SmallOutcome {
  std::string parameter_digest;
  std::vector<double> losses;
  std::vector<float> predictions;
  double rmse = 0;
  friend bool operator==(const SmallOutcome&, const SmallOutcome&) = default;
};

/// Trains on the first 330 ratings of 400 (4 batches an epoch, the last one of 30) and evaluates on
/// the others. Throws std::runtime_error with the message of whatever fails, or if ranks disagree.
SmallOutcome TrainSmall(const SmallRun& run);

}  // namespace dcn::testing
