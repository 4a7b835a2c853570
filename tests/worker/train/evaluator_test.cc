#include "worker/train/evaluator.h"

#include <cmath>
#include <memory>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "ps/server/local_shard.h"
#include "ps/server/shard.h"
#include "tests/testing/engines.h"
#include "tests/testing/small_training.h"
#include "worker/communicator/local.h"

namespace dcn::train {
namespace {

// An untrained model over `count` ratings; the rows are taken backwards.
Evaluation EvaluateRows(std::size_t count, std::size_t slice_rows, int threads,
                        std::uint32_t shard_count) {
  const data::Dataset dataset = testing::SmallDataset(700, 5);
  const model::ModelSpec spec = testing::SmallModel(dataset);
  std::vector<std::unique_ptr<ps::Shard>> owned;
  Shards shards;
  for (std::uint32_t s = 0; s < shard_count; ++s) {
    owned.push_back(std::make_unique<ps::Shard>());
    shards.push_back(std::make_unique<ps::LocalShard>(*owned.back()));
    EXPECT_TRUE(shards.back()->CreateTables(TableDefinitions(spec, 1, ps::AdamOptions{})).ok());
  }
  ThreadPool pool(threads);
  const auto model = testing::MakeEngine("onednn", spec, threads, slice_rows);
  std::vector<float> dense(spec.dense_size());
  model::InitializeDense(spec, 1, dense);
  comm::SingleCommunicator alone;
  TrainingStep step(
      spec,
      {.cut = {.batch_rows = slice_rows, .slice_rows = slice_rows}, .optimizer = ps::AdamOptions{}},
      dense, *model, shards, alone, pool);
  std::vector<std::uint32_t> rows(count);
  std::iota(rows.rbegin(), rows.rend(), 0U);
  const auto evaluation =
      Evaluate(step, dataset, rows, slice_rows, MakeTableLayout(spec, shard_count), alone, pool);
  EXPECT_TRUE(evaluation.ok()) << evaluation.status().ToString();

  double sum = 0;  // the obvious way
  for (std::size_t i = 0; i < count; ++i) {
    const double error = evaluation->predictions[i] - dataset.labels()[rows[i]];
    sum += error * error;
  }
  EXPECT_NEAR(evaluation->rmse, std::sqrt(sum / static_cast<double>(count)), 1e-12);
  return *evaluation;
}

TEST(Evaluate, IsTheRootOfTheMeanSquaredErrorForAnyCount) {
  for (const std::size_t count : {1U, 2U, 3U, 4U, 255U, 256U, 257U, 700U})
    EvaluateRows(count, 4, 1, 1);
}

TEST(Evaluate, GivesTheSameBitsForAnyThreadsAndShards) {
  const Evaluation expected = EvaluateRows(700, 3, 1, 1);
  for (const int threads : {2, 3}) {
    for (const std::uint32_t shards : {1U, 2U, 5U}) {
      const Evaluation actual = EvaluateRows(700, 3, threads, shards);
      EXPECT_EQ(actual.predictions, expected.predictions);
      EXPECT_EQ(actual.rmse, expected.rmse);
    }
  }
}

// Predictions belong to their rows, wherever those fall in slices and batches.
TEST(Evaluate, PredictsARowAlikeInAnyCompany) {
  const Evaluation all = EvaluateRows(700, 4, 1, 1);
  const Evaluation some = EvaluateRows(300, 4, 1, 1);
  for (std::size_t i = 0; i < 300; ++i) {
    EXPECT_NEAR(all.predictions[400 + i], some.predictions[i], 1e-6) << i;
  }
}

}  // namespace
}  // namespace dcn::train
