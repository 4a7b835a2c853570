// Both engines train the golden cases as TensorFlow did: embeddings behind the interface of shards,
// gradients over the tree of slices, whatever the number of slices, threads and shards.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "common/thread_pool.h"
#include "ps/server/local_shard.h"
#include "ps/server/shard.h"
#include "tests/testing/engines.h"
#include "tests/testing/golden_case.h"
#include "worker/communicator/local.h"
#include "worker/data/batch_plan.h"
#include "worker/train/parameters.h"
#include "worker/train/training_step.h"

namespace dcn::train {
namespace {

using testing::GoldenCase;
using testing::GoldenStep;
using testing::GoldenWeights;

// The project's promise, in float32, for predictions, losses and final weights alike.
constexpr double kTolerance = 2e-5;

// Who computes: a slice_rows of 0 stands for one slice a batch.
struct Setup {
  std::size_t slice_rows;
  int threads;
  std::uint32_t shards;
};

constexpr Setup kSetups[] = {{4, 3, 2}, {0, 1, 1}, {5, 2, 7}};

std::size_t LargestBatch(const GoldenCase& golden) {
  std::size_t rows = 0;
  for (const GoldenStep& step : golden.steps) rows = std::max(rows, step.labels.size());
  return rows;
}

std::vector<data::BatchPlan> PlanBatches(const GoldenCase& golden, std::uint32_t shards) {
  data::BatchPlanner planner(MakeTableLayout(golden.spec, shards));
  std::vector<data::BatchPlan> plans;
  for (const GoldenStep& step : golden.steps) {
    std::vector<std::uint32_t> ids;
    for (std::size_t row = 0; row < step.labels.size(); ++row) {
      for (const auto& keys : step.keys) ids.push_back(static_cast<std::uint32_t>(keys[row]));
    }
    plans.push_back(planner.Build(ids, step.labels));
  }
  return plans;
}

// Shards in this process with a case's tables at their first values.
class Tables {
 public:
  Tables(const GoldenCase& golden, std::uint32_t shards) {
    const auto definitions = TableDefinitions(golden.spec, 0, golden.adam);
    for (std::uint32_t s = 0; s < shards; ++s) {
      owned_.push_back(std::make_unique<ps::Shard>());
      clients_.push_back(std::make_unique<ps::LocalShard>(*owned_.back()));
      const Status created = clients_.back()->CreateTables(definitions);
      EXPECT_TRUE(created.ok()) << created.ToString();
    }
    for (std::size_t f = 0; f < golden.spec.features.size(); ++f) {
      const Status assigned =
          AssignTable(clients_, static_cast<ps::TableId>(f), golden.spec.features[f].dimension,
                      golden.initial.tables[f]);
      EXPECT_TRUE(assigned.ok()) << assigned.ToString();
    }
  }

  Shards& clients() { return clients_; }

 private:
  std::vector<std::unique_ptr<ps::Shard>> owned_;
  Shards clients_;
};

void ExpectNear(std::span<const float> actual, std::span<const float> expected,
                const std::string& name) {
  ASSERT_EQ(actual.size(), expected.size()) << name;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    ASSERT_NEAR(actual[i], expected[i], kTolerance) << name << ", value " << i;
  }
}

void ExpectFinalWeights(const GoldenCase& golden, Shards& shards, std::span<const float> dense) {
  ExpectNear(dense, golden.final.dense, "dense parameters");
  const auto parameters = Parameters::Read(golden.spec, shards, dense);
  ASSERT_TRUE(parameters.ok()) << parameters.status().ToString();
  for (std::size_t f = 0; f < golden.spec.features.size(); ++f) {
    const TensorView& table = parameters->tensors()[f];
    EXPECT_EQ(table.name, "embedding/" + golden.spec.features[f].name);
    ExpectNear(table.values, golden.final.tables[f], table.name);
  }
}

void TrainAndCompare(const GoldenCase& golden, const std::string& engine_name, const Setup& setup) {
  const std::size_t batch_rows = LargestBatch(golden);
  const std::size_t slice_rows = setup.slice_rows != 0 ? setup.slice_rows : batch_rows;
  ThreadPool pool(setup.threads);
  Tables tables(golden, setup.shards);
  const auto engine = testing::MakeEngine(engine_name, golden.spec, setup.threads, slice_rows);
  comm::SingleCommunicator alone;
  TrainingStep training(
      golden.spec,
      {.cut = {.batch_rows = batch_rows, .slice_rows = slice_rows}, .optimizer = golden.adam},
      golden.initial.dense, *engine, tables.clients(), alone, pool);

  const std::vector<data::BatchPlan> plans = PlanBatches(golden, setup.shards);
  const Status pulled = training.Pull(plans[0]);
  ASSERT_TRUE(pulled.ok()) << pulled.ToString();
  for (std::size_t i = 0; i < plans.size(); ++i) {
    SCOPED_TRACE(fmt::format("step {}", i + 1));
    const GoldenStep& step = golden.steps[i];
    const auto squared_error = training.Run(
        plans[i], i + 1 < plans.size() ? &plans[i + 1] : nullptr, golden.learning_rate);
    ASSERT_TRUE(squared_error.ok()) << squared_error.status().ToString();
    ASSERT_EQ(training.predictions().size(), step.predictions.size());
    for (std::size_t row = 0; row < step.predictions.size(); ++row) {
      ASSERT_NEAR(training.predictions()[row], step.predictions[row], kTolerance) << "row " << row;
    }
    ASSERT_NEAR(*squared_error / static_cast<double>(step.labels.size()), step.loss, kTolerance);
  }
  ExpectFinalWeights(golden, tables.clients(), training.dense_parameters());
}

class Golden
    : public ::testing::TestWithParam<std::tuple<std::filesystem::path, std::string, Setup>> {};

TEST_P(Golden, TrainsAsTensorFlowDid) {
  const auto& [file, engine, setup] = GetParam();
  DCN_SKIP_WITHOUT_ENGINE(engine);
  const auto golden = testing::ReadGoldenCase(file);
  ASSERT_TRUE(golden.ok()) << golden.status().ToString();
  TrainAndCompare(*golden, engine, setup);
}

std::string CaseName(const ::testing::TestParamInfo<Golden::ParamType>& info) {
  const auto& [file, engine, setup] = info.param;
  return fmt::format("{}_{}_{}threads_{}shards", testing::GoldenTestName(file, info.index), engine,
                     setup.threads, setup.shards);
}

INSTANTIATE_TEST_SUITE_P(, Golden,
                         ::testing::Combine(::testing::ValuesIn(testing::GoldenFiles()),
                                            ::testing::ValuesIn(testing::EngineNames()),
                                            ::testing::ValuesIn(kSetups)),
                         CaseName);

}  // namespace
}  // namespace dcn::train
