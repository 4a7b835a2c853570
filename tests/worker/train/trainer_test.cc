#include "worker/train/trainer.h"

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

// Everything that Train needs, on 25 ratings in batches of 10, 10 and 5.
class TrainerTest : public ::testing::Test {
 protected:
  TrainerTest() {
    std::iota(rows_.begin(), rows_.end(), 0U);
    clients_.push_back(std::make_unique<ps::LocalShard>(shard_));
    EXPECT_TRUE(clients_[0]->CreateTables(TableDefinitions(spec_, 1, ps::AdamOptions{})).ok());
  }

  Result<Training> TrainWith(const LoopOptions& options, const StepObserver& observer = nullptr) {
    const auto model = testing::MakeEngine("onednn", spec_, 2, 4);
    const BatchCut cut{.batch_rows = 10, .slice_rows = 4};
    TrainingStep step(spec_, {.cut = cut, .optimizer = ps::AdamOptions{}},
                      std::vector<float>(spec_.dense_size(), 0.01F), *model, clients_, alone_,
                      pool_);
    FrozenBatches batches(dataset_, rows_, cut, MakeTableLayout(spec_, 1));
    EXPECT_EQ(batches.count(), 3U);
    return Train(options, batches, step, observer);
  }

  const data::Dataset dataset_ = testing::SmallDataset(25, 5);
  const model::ModelSpec spec_ = testing::SmallModel(dataset_);
  std::vector<std::uint32_t> rows_ = std::vector<std::uint32_t>(25);
  comm::SingleCommunicator alone_;
  ThreadPool pool_{2};
  ps::Shard shard_;
  Shards clients_;
};

TEST(TotalSteps, IsCutByMaxSteps) {
  EXPECT_EQ(TotalSteps({.epochs = 2}, 92), 184U);
  EXPECT_EQ(TotalSteps({.epochs = 2, .max_steps = 100}, 92), 100U);
  EXPECT_EQ(TotalSteps({.epochs = 2, .max_steps = 1000}, 92), 184U);
  EXPECT_EQ(TotalSteps({.epochs = 1, .max_steps = 1}, 1), 1U);
}

TEST_F(TrainerTest, TakesEveryBatchInEveryEpoch) {
  std::vector<Progress> seen;
  const auto training = TrainWith({.epochs = 2}, [&](const Progress& progress) {
    seen.push_back(progress);
    return true;
  });
  ASSERT_TRUE(training.ok()) << training.status().ToString();
  EXPECT_EQ(training->rows, 50U);
  ASSERT_EQ(training->epochs.size(), 2U);
  ASSERT_EQ(seen.size(), 6U);
  const std::size_t rows[] = {10, 10, 5, 10, 10, 5};
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(seen[i].step, i + 1);
    EXPECT_EQ(seen[i].total_steps, 6U);
    EXPECT_EQ(seen[i].epoch, i / 3);
    EXPECT_EQ(seen[i].rows, rows[i]);
    EXPECT_EQ(seen[i].loss, training->losses[i]);
  }
}

TEST_F(TrainerTest, WeighsAnEpochsLossByRows) {
  const auto training = TrainWith({.epochs = 1});
  ASSERT_TRUE(training.ok());
  const auto& losses = training->losses;
  EXPECT_NEAR(training->epochs[0].mean_loss, (10 * losses[0] + 10 * losses[1] + 5 * losses[2]) / 25,
              1e-12);
}

TEST_F(TrainerTest, StopsAtMaxSteps) {
  const auto training = TrainWith({.epochs = 5, .max_steps = 4});
  ASSERT_TRUE(training.ok());
  EXPECT_EQ(training->losses.size(), 4U);
  EXPECT_EQ(training->epochs.size(), 2U);
  EXPECT_EQ(shard_.current_step(), 4U);
}

// Keeps what a checkpoint of the last step would.
class LastTraining final : public StepHooks {
 public:
  ps::StepFlags BeforeStep(ps::Step, bool) override { return 0; }
  bool AfterStep(const TrainingStep&, const Training& so_far, ps::StepFlags) override {
    training = so_far;
    return true;
  }
  Training training;
};

TEST_F(TrainerTest, ARunThatIsProlongedHasTheEpochsOfOneThatWasLongFromTheBeginning) {
  ps::Shard other_shard;
  Shards other_clients;
  other_clients.push_back(std::make_unique<ps::LocalShard>(other_shard));
  ASSERT_TRUE(other_clients[0]->CreateTables(TableDefinitions(spec_, 1, ps::AdamOptions{})).ok());
  const auto model = testing::MakeEngine("onednn", spec_, 2, 4);
  const BatchCut cut{.batch_rows = 10, .slice_rows = 4};
  TrainingStep step(spec_, {.cut = cut, .optimizer = ps::AdamOptions{}},
                    std::vector<float>(spec_.dense_size(), 0.01F), *model, other_clients, alone_,
                    pool_);
  FrozenBatches batches(dataset_, rows_, cut, MakeTableLayout(spec_, 1));
  LastTraining kept;
  // Ends within the first epoch, within the second, at its end, within the third: each goes on from
  // what the one before has left.
  for (const std::size_t steps : {2U, 4U, 6U, 8U}) {
    const auto training =
        Train({.epochs = 9, .max_steps = steps}, batches, step, nullptr, &kept, kept.training);
    ASSERT_TRUE(training.ok()) << training.status().ToString();
    EXPECT_EQ(training->epochs.size(), (steps + 2) / 3);
    const auto again = Train({.epochs = 9, .max_steps = steps}, batches, step, nullptr, &kept,
                             kept.training);  // nothing is left to be trained
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again->epochs.size(), (steps + 2) / 3);
    EXPECT_EQ(again->epochs.back().mean_loss, training->epochs.back().mean_loss);
  }
  const auto oracle = TrainWith({.epochs = 9, .max_steps = 9});
  ASSERT_TRUE(oracle.ok());
  const auto prolonged =
      Train({.epochs = 9, .max_steps = 9}, batches, step, nullptr, nullptr, kept.training);
  ASSERT_TRUE(prolonged.ok());
  ASSERT_EQ(prolonged->epochs.size(), 3U);
  for (std::size_t e = 0; e < 3; ++e) {
    EXPECT_EQ(prolonged->epochs[e].mean_loss, oracle->epochs[e].mean_loss) << e;
  }
}

TEST_F(TrainerTest, EndsWhereTheObserverSaysSo) {
  const auto training =
      TrainWith({.epochs = 2}, [](const Progress& progress) { return progress.step < 3; });
  ASSERT_FALSE(training.ok());
  EXPECT_EQ(training.status().code(), StatusCode::kCancelled);
  EXPECT_EQ(training.status().message(), "training was stopped after step 3 of 6");
  EXPECT_EQ(shard_.current_step(), 3U);
}

TEST_F(TrainerTest, ReportsALossThatIsNotANumberBeforeItSpreads) {
  const auto training = TrainWith({.epochs = 200, .learning_rate = 1e18F});
  ASSERT_FALSE(training.ok());
  EXPECT_EQ(training.status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace dcn::train
