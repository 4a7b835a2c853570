// Training steps beside the roof of their matrix products (product_roof.h), in turns, in one
// process, with all threads busy: how near to the processor's limit training runs.
//
// share_of_roof is the rate of the products within training steps, all of a step's time counted,
// over their rate alone; median_share_of_roof is the median over the turns, which a short
// disturbance does not move. Both are only as calm as the machine. cpu_share_of_roof compares the
// processor time that this process got: what others take does not move it, waiting does not show.
// Batches are planned before.

#include <algorithm>
#include <ctime>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include "benchmarks/benchmark_main.h"
#include "benchmarks/product_roof.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/thread_pool.h"
#include "ps/server/local_shard.h"
#include "ps/server/shard.h"
#include "worker/communicator/local.h"
#include "worker/data/encoded_cache.h"
#include "worker/data/split.h"
#include "worker/model/onednn_isa.h"
#include "worker/model/onednn_model.h"
#include "worker/model/precision.h"
#include "worker/train/frozen_batches.h"
#include "worker/train/training_step.h"

namespace dcn::benchmarks {
namespace {

constexpr std::size_t kBatchRows = 8192;
constexpr std::size_t kSliceRows = 512;
constexpr std::uint32_t kDimension = 32;
constexpr float kLearningRate = 0.01F;
// Products and training take turns of so many steps: short beside a machine's moods, long beside
// what a turn's first step costs, which finds the other's data in the caches.
constexpr std::int64_t kStepsInTurn = 8;
// After so many steps the loss says whether the model learns.
constexpr ps::Step kStepsToLearn = 61;

struct TrainingData {
  explicit TrainingData(const std::string& source)
      : dataset(ValueOrThrow(data::LoadDataset(source))),
        split(ValueOrThrow(data::MakeSplit(dataset.rows(), 0.75))) {}
  data::Dataset dataset;
  data::Split split;
};

model::ModelSpec SpecFor(const data::Dataset& dataset, const std::string& name) {
  std::vector<model::FeatureSpec> features;
  for (const data::Vocabulary& vocabulary : dataset.vocabularies()) {
    features.push_back({vocabulary.feature, vocabulary.table_rows(), kDimension});
  }
  return ValueOrThrow(model::NamedModel(name, std::move(features)));
}

// A training as dcn_worker's, one shard a thread.
class Trainer {
 public:
  Trainer(const TrainingData& data, const model::ModelSpec& spec, model::Precision precision,
          ThreadPool& pool)
      : model_(model::MakeOnednnModel(spec, pool.thread_count(), kSliceRows, precision)),
        clients_(MakeClients(spec, pool.thread_count())),
        step_(spec, {.cut = {.batch_rows = kBatchRows, .slice_rows = kSliceRows}, .optimizer = {}},
              FirstValues(spec), *model_, clients_, alone_, pool),
        batches_(data.dataset, data.split.train,
                 {.batch_rows = kBatchRows, .slice_rows = kSliceRows},
                 train::MakeTableLayout(spec, static_cast<std::uint32_t>(pool.thread_count()))) {
    for (std::size_t i = 0; i < batches_.count(); ++i) batches_.Prepare(i);
    ThrowIfError(step_.Pull(following(0)));
  }

  /// The batch of the next step, or of a later one.
  const data::BatchPlan& following(std::size_t later) {
    return batches_.Get((step_.step() + later) % batches_.count());
  }

  /// Takes a step; its mean squared error before the update.
  double Step() {
    const data::BatchPlan& batch = following(0);
    return ValueOrThrow(step_.Run(batch, &following(1), kLearningRate)) /
           static_cast<double>(batch.rows());
  }
  [[nodiscard]] ps::Step step() const { return step_.step(); }

 private:
  train::Shards MakeClients(const model::ModelSpec& spec, int count) {
    train::Shards clients;
    for (int s = 0; s < count; ++s) {
      shards_.push_back(std::make_unique<ps::Shard>());
      clients.push_back(std::make_unique<ps::LocalShard>(*shards_.back()));
      ThrowIfError(clients.back()->CreateTables(train::TableDefinitions(spec, 1, {})));
    }
    return clients;
  }
  static std::vector<float> FirstValues(const model::ModelSpec& spec) {
    std::vector<float> dense(spec.dense_size());
    model::InitializeDense(spec, 1, dense);
    return dense;
  }

  std::unique_ptr<model::DenseModel> model_;
  std::vector<std::unique_ptr<ps::Shard>> shards_;
  train::Shards clients_;
  comm::SingleCommunicator alone_;
  train::TrainingStep step_;
  train::FrozenBatches batches_;
};

double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

void BenchmarkTraining(benchmark::State& state, const TrainingData& data, const std::string& name,
                       model::Precision precision, int threads) {
  const model::ModelSpec spec = SpecFor(data.dataset, name);
  ThreadPool pool(threads);
  ProductRoof roof(spec, kSliceRows, threads, precision);
  Trainer trainer(data, spec, precision, pool);
  for (int i = 0; i < 3; ++i) {  // kernels for every slice length are made, caches filled
    roof.Run(pool, kBatchRows);
    trainer.Step();
  }
  double rows = 0;
  std::clock_t roof_cpu = 0;
  std::clock_t step_cpu = 0;
  double roof_seconds = 0;
  double step_seconds = 0;
  std::vector<double> shares;
  double loss = 0;
  while (state.KeepRunningBatch(kStepsInTurn)) {
    const std::clock_t begin = std::clock();
    Stopwatch watch;
    for (std::int64_t i = 0; i < kStepsInTurn; ++i) {
      roof.Run(pool, trainer.following(static_cast<std::size_t>(i)).rows());
    }
    const double alone = watch.Restart();
    const std::clock_t middle = std::clock();
    for (std::int64_t i = 0; i < kStepsInTurn; ++i) {
      rows += static_cast<double>(trainer.following(0).rows());
      loss = trainer.Step();
    }
    const double steps = watch.seconds();
    roof_cpu += middle - begin;
    step_cpu += std::clock() - middle;
    state.SetIterationTime(steps);  // of all of them
    roof_seconds += alone;
    step_seconds += steps;
    shares.push_back(alone / steps);
  }
  // It trains: ratings' variance is about 1.25; a model that predicts 0 is at 14.
  while (trainer.step() < kStepsToLearn) loss = trainer.Step();
  DCN_CHECK_LE(loss, 1.3);
  const double operations = roof.operations_per_row() * rows * 1e-9;
  state.SetItemsProcessed(static_cast<std::int64_t>(rows));
  state.counters["share_of_roof"] = roof_seconds / step_seconds;
  state.counters["median_share_of_roof"] = Median(std::move(shares));
  state.counters["cpu_share_of_roof"] =
      static_cast<double>(roof_cpu) / static_cast<double>(step_cpu);
  state.counters["roof_gflops"] = operations / roof_seconds;
  state.counters["training_gflops"] = operations / step_seconds;
  state.counters["roof_rows_per_second"] = rows / roof_seconds;
}

// "Training/dcn", and "Training/bf16/dcn" where the processor has it.
void Register(const BenchmarkOptions& options) {
  const auto data = std::make_shared<std::unique_ptr<TrainingData>>();
  std::vector<std::pair<std::string, model::Precision>> precisions = {
      {"Training/", model::Precision::kFp32}};
  const Status bf16 = model::CheckBf16(model::OnednnInstructionSet());
  if (bf16.ok()) {
    precisions.emplace_back("Training/bf16/", model::Precision::kBf16);
  } else {
    fmt::print(stderr, "bf16 is not measured: {}\n", bf16.message());
  }
  for (const auto& [prefix, precision] : precisions) {
    for (const std::string name : {"dcn", "dcn-lowrank", "dnn"}) {
      const auto run = [=, precision = precision](benchmark::State& state) {
        if (!*data) *data = std::make_unique<TrainingData>(options.data);
        BenchmarkTraining(state, **data, name, precision, options.threads);
      };
      WithExtremes(benchmark::RegisterBenchmark((prefix + name).c_str(), run))
          ->UseManualTime()
          ->MinTime(2)
          ->Unit(benchmark::kMillisecond);
    }
  }
}

}  // namespace
}  // namespace dcn::benchmarks

int main(int argc, char** argv) {
  return dcn::benchmarks::RunBenchmarks(argc, argv, dcn::benchmarks::Register);
}
