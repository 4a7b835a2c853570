#include "tests/testing/small_training.h"

#include <chrono>
#include <cmath>
#include <numeric>
#include <optional>
#include <span>
#include <stdexcept>
#include <utility>

#include "common/digest.h"
#include "common/random.h"
#include "common/thread_pool.h"
#include "ps/server/local_shard.h"
#include "ps/server/shard.h"
#include "tests/testing/engines.h"
#include "tests/testing/rank_threads.h"
#include "tests/testing/shared_shard.h"
#include "worker/communicator/local.h"
#include "worker/train/frozen_batches.h"
#include "worker/train/parameters.h"
#include "worker/train/training_step.h"

namespace dcn::testing {
namespace {

constexpr std::size_t kRows = 400;
constexpr std::size_t kTrainRows = 330;
constexpr std::size_t kVocabularySizes[] = {37, 23, 2};

void Require(const Status& status) {
  if (!status.ok()) throw std::runtime_error(status.ToString());
}

template <typename T>
T Require(Result<T> result) {
  Require(result.status());
  return std::move(result).value();
}

data::Vocabulary MakeVocabulary(const std::string& feature, std::size_t size) {
  data::Vocabulary vocabulary;
  vocabulary.feature = feature;
  for (std::size_t i = 0; i < size; ++i) vocabulary.values.push_back(std::to_string(100 + i));
  return vocabulary;
}

}  // namespace

data::Dataset SmallDataset(std::size_t rows, std::uint64_t seed) {
  struct Arrays {
    std::vector<std::uint32_t> ids;
    std::vector<float> labels;
  };
  const RandomStream random(seed, StreamId("small data set"));
  auto arrays = std::make_shared<Arrays>();
  std::uint64_t index = 0;
  for (std::size_t row = 0; row < rows; ++row) {
    for (const std::size_t size : kVocabularySizes) {
      const double skewed = std::pow(random.Uniform(index++), 2.0);
      arrays->ids.push_back(static_cast<std::uint32_t>(skewed * static_cast<double>(size + 1)));
    }
    arrays->labels.push_back(1.0F + static_cast<float>(BoundedWord(random.Word64(index++), 5)));
  }
  std::vector<data::Vocabulary> vocabularies = {MakeVocabulary("movie_id", kVocabularySizes[0]),
                                                MakeVocabulary("user_id", kVocabularySizes[1]),
                                                MakeVocabulary("user_gender", kVocabularySizes[2])};
  const std::span<const std::uint32_t> ids = arrays->ids;
  const std::span<const float> labels = arrays->labels;
  return {"small", std::move(vocabularies), ids, labels, std::move(arrays), "small"};
}

model::ModelSpec SmallModel(const data::Dataset& dataset) {
  model::ModelSpec spec;
  spec.name = "small";
  constexpr std::uint32_t kDimensions[] = {5, 16, 2};
  for (std::size_t f = 0; f < dataset.feature_count(); ++f) {
    spec.features.push_back({.name = dataset.vocabularies()[f].feature,
                             .rows = dataset.vocabularies()[f].table_rows(),
                             .dimension = kDimensions[f]});
  }
  spec.cross = {{}, {.projection_dimension = 3, .diag_scale = 0.1F}};
  spec.deep = {13, 7};
  return spec;
}

namespace {

// What one rank does.
SmallOutcome TrainRank(const SmallRun& run, comm::Communicator& communicator,
                       train::Shards& shards) {
  const data::Dataset dataset = SmallDataset(kRows, 7);
  const model::ModelSpec spec = SmallModel(dataset);
  ThreadPool pool(run.threads);
  const std::optional<int> gpu = run.is_on_gpus ? std::optional(communicator.rank()) : std::nullopt;
  const auto model = MakeEngine(run.engine, spec, run.threads, run.slice_rows, gpu);
  const auto tables = train::TableDefinitions(spec, run.seed, run.optimizer);
  for (const auto& shard : shards) Require(shard->CreateTables(tables));
  std::vector<float> dense(spec.dense_size());
  model::InitializeDense(spec, run.seed, dense);
  const train::BatchCut cut{.batch_rows = run.batch_rows,
                            .slice_rows = run.slice_rows,
                            .rank = static_cast<std::uint32_t>(communicator.rank()),
                            .ranks = static_cast<std::uint32_t>(communicator.size())};
  std::unique_ptr<comm::DenseReduction> reduction;
  if (run.make_reduction && run.ranks > 1) {
    reduction = run.make_reduction(communicator, pool, cut.full_leaves(), spec.dense_size());
  }
  train::TrainingStep step(spec,
                           {.cut = cut, .optimizer = run.optimizer, .reduction = reduction.get()},
                           std::move(dense), *model, shards, communicator, pool);

  std::vector<std::uint32_t> rows(kRows);
  std::iota(rows.begin(), rows.end(), 0U);
  const auto layout = train::MakeTableLayout(spec, run.shards);
  train::FrozenBatches batches(dataset, std::span(rows).first(kTrainRows), cut, layout);
  const train::Training training = Require(train::Train(run.loop, batches, step, nullptr));
  train::Evaluation evaluation =
      Require(train::Evaluate(step, dataset, std::span(rows).subspan(kTrainRows), run.slice_rows,
                              layout, communicator, pool));
  const auto parameters = Require(train::Parameters::Read(spec, shards, step.dense_parameters()));
  Digest128 digest;
  for (const TensorView& tensor : parameters.tensors()) {
    digest.Update(std::as_bytes(tensor.values));
  }
  return {digest.Hex(), training.losses, std::move(evaluation.predictions), evaluation.rmse};
}

SmallOutcome TrainAlone(const SmallRun& run) {
  std::vector<std::unique_ptr<ps::Shard>> owned;
  train::Shards shards;
  for (std::uint32_t s = 0; s < run.shards; ++s) {
    owned.push_back(std::make_unique<ps::Shard>());
    shards.push_back(std::make_unique<ps::LocalShard>(*owned.back()));
  }
  comm::SingleCommunicator alone;
  return TrainRank(run, alone, shards);
}

}  // namespace

SmallOutcome TrainSmall(const SmallRun& run) {
  if (run.ranks == 1) return TrainAlone(run);
  std::vector<std::unique_ptr<SharedShard>> shared;
  for (std::uint32_t s = 0; s < run.shards; ++s) {
    shared.push_back(std::make_unique<SharedShard>(run.ranks));
  }
  comm::LocalGroup group(static_cast<int>(run.ranks), std::chrono::seconds(60));
  std::vector<SmallOutcome> outcomes(run.ranks);
  RunRanks(static_cast<int>(run.ranks), [&](int rank) {
    const auto number = static_cast<std::uint32_t>(rank);
    train::Shards shards;
    for (const auto& shard : shared) {
      shards.push_back(std::make_unique<SharedShardClient>(*shard, number));
    }
    outcomes[number] = TrainRank(run, group.communicator(rank), shards);
  });
  for (std::uint32_t rank = 1; rank < run.ranks; ++rank) {
    if (outcomes[rank] != outcomes[0]) {
      throw std::runtime_error("rank " + std::to_string(rank) + " ended with another result");
    }
  }
  return outcomes[0];
}

}  // namespace dcn::testing
