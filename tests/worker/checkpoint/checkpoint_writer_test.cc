// Training beside checkpoints whose disk hangs.
#include "worker/checkpoint/checkpoint_writer.h"

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "common/thread_pool.h"
#include "ps/server/local_shard.h"
#include "ps/server/shard.h"
#include "tests/testing/engines.h"
#include "tests/testing/hanging_disk.h"
#include "tests/testing/small_training.h"
#include "tests/testing/temporary_folder.h"
#include "worker/communicator/local.h"
#include "worker/train/frozen_batches.h"

namespace dcn::checkpoint {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using testing::HangingDisk;

constexpr std::size_t kRows = 400;
constexpr std::size_t kSliceRows = 8;

// A run of one rank and one shard, with a checkpoint at every tenth step.
class CheckpointWriterTest : public ::testing::Test, public train::StepHooks {
 protected:
  void SetUp() override {
    options_.every = 10;
    options_.epoch = 1;
    Result<CheckpointFolder> folder = CheckpointFolder::Open(path_, 0ms);
    ASSERT_TRUE(folder.ok()) << folder.status().ToString();
    folder_ = std::make_shared<CheckpointFolder>(*std::move(folder));
    shards_.push_back(std::make_unique<ps::LocalShard>(shard_));
    for (const auto& table : train::TableDefinitions(spec_, 1, ps::AdamOptions{})) {
      tables_.push_back(table);
    }
    ASSERT_TRUE(shards_.front()->CreateTables(tables_).ok());
  }

  // Trains and finishes; after_step: called after each.
  WriterSummary Train(std::size_t steps, std::function<void(ps::Step step)> after_step) {
    after_step_ = std::move(after_step);
    writer_.emplace(options_, folder_, spec_, shards_);
    EXPECT_TRUE(writer_->Open().ok());
    std::vector<std::uint32_t> rows(kRows);
    std::iota(rows.begin(), rows.end(), 0U);
    const train::BatchCut cut{.batch_rows = 100, .slice_rows = kSliceRows, .rank = 0, .ranks = 1};
    const auto layout = train::MakeTableLayout(spec_, 1);
    train::FrozenBatches batches(dataset_, rows, cut, layout);
    const auto model = testing::MakeEngine("onednn", spec_, 1, kSliceRows, std::nullopt);
    std::vector<float> dense(spec_.dense_size());
    train::TrainingStep step(spec_, {.cut = cut}, std::move(dense), *model, shards_, alone_, pool_);
    const auto trained =
        train::Train({.epochs = 1000, .max_steps = steps}, batches, step, nullptr, this);
    EXPECT_TRUE(trained.ok()) << trained.status().ToString();
    const Status finished = writer_->Finish();
    EXPECT_TRUE(finished.ok()) << finished.ToString();
    const WriterSummary summary = writer_->summary();
    writer_.reset();
    return summary;
  }

  ps::StepFlags BeforeStep(ps::Step step, bool is_last) override {
    return writer_->BeginStep(step, is_last) ? ps::kTakesSnapshot : 0;
  }
  bool AfterStep(const train::TrainingStep& step, const train::Training& so_far,
                 ps::StepFlags /*flags*/) override {
    const Status status = writer_->EndStep(step, so_far);
    EXPECT_TRUE(status.ok()) << status.ToString();
    end_again_ = [&] { return writer_->EndStep(step, so_far); };
    if (after_step_) after_step_(step.step());
    return status.ok();
  }

  // In after_step: what a writer does in the next steps, until the disk hangs; a slow disk may come
  // to the file that hangs after any number of them.
  void EndAgainUntilHang(const HangingDisk& disk) const {
    const auto begun = Clock::now();
    while (disk.hangs() == 0 && Clock::now() - begun < 60s) {
      const Status status = end_again_();
      ASSERT_TRUE(status.ok()) << status.ToString();
      std::this_thread::sleep_for(1ms);
    }
  }

  [[nodiscard]] std::vector<ps::Step> Kept() const {
    std::vector<ps::Step> steps;
    const auto names = ListCheckpoints(path_);
    EXPECT_TRUE(names.ok());
    for (const CheckpointName& name : *names) steps.push_back(name.step);
    return steps;
  }
  [[nodiscard]] bool IsBegun(ps::Step step) const {
    return fs::exists(path_ / CheckpointName{.step = step, .epoch = 1}.folder());
  }

  testing::TemporaryFolder temporary_;
  const fs::path path_ = fs::canonical(temporary_.path()) / "checkpoints";
  const data::Dataset dataset_ = testing::SmallDataset(kRows, 7);
  const model::ModelSpec spec_ = testing::SmallModel(dataset_);
  WriterOptions options_;
  std::shared_ptr<CheckpointFolder> folder_;
  ps::Shard shard_;
  train::Shards shards_;
  std::vector<ps::TableDefinition> tables_;
  comm::SingleCommunicator alone_;
  ThreadPool pool_{1};
  std::optional<CheckpointWriter> writer_;
  std::function<void(ps::Step step)> after_step_;
  std::function<Status()> end_again_;
};

// A file whose fsync hangs.
class HangingFile : public CheckpointWriterTest,
                    public ::testing::WithParamInterface<const char*> {};

TEST_P(HangingFile, KeepsOthersFromBeingBegunUntilTheDiskAnswers) {
  HangingDisk disk("fsync", GetParam());
  const WriterSummary summary = Train(60, [&](ps::Step step) {
    if (step <= 40) {
      EXPECT_FALSE(IsBegun(20) || IsBegun(30) || IsBegun(40));
    }
    if (step == 40) {
      EndAgainUntilHang(disk);
      disk.Answer();
    }
  });
  EXPECT_EQ(disk.hangs(), 1);
  EXPECT_GE(summary.skipped, 3U);  // 20, 30, 40
  EXPECT_EQ(summary.failed, 0U);
  EXPECT_GE(summary.written, 2U);  // the one that hung, and the last
  EXPECT_EQ(Kept().front(), 60U);
}

TEST_P(HangingFile, HoldsUpTheEndForTheTimeoutOnly) {
  options_.timeout = 200ms;
  const HangingDisk disk("fsync", GetParam());
  const auto begun = Clock::now();
  const WriterSummary summary = Train(30, nullptr);
  EXPECT_LT(Clock::now() - begun, 60s);  // the disk never answers
  EXPECT_EQ(summary.failed, 1U);         // 10
  EXPECT_EQ(summary.skipped, 2U);        // 20, and 30, which had waited for it
  EXPECT_EQ(summary.written, 0U);
  EXPECT_FALSE(IsBegun(20));
  EXPECT_FALSE(IsBegun(30));
}

INSTANTIATE_TEST_SUITE_P(, HangingFile, ::testing::Values("dense", "shard-0", "manifest"));

TEST_F(CheckpointWriterTest, AFolderThatHangsFailsItsCheckpointAndHoldsUpOneStepOnly) {
  options_.step_patience = 50ms;
  HangingDisk disk("mkdir", "step-");
  const WriterSummary summary = Train(60, [&](ps::Step step) {
    if (step == 40) disk.Answer();
  });
  EXPECT_EQ(disk.hangs(), 1);
  EXPECT_EQ(summary.failed, 1U);
  EXPECT_GE(summary.skipped, 3U);
  EXPECT_GE(summary.written, 1U);
  EXPECT_EQ(Kept().front(), 60U);
}

TEST_F(CheckpointWriterTest, ALastCheckpointThatHangsHasFailedAtTheTimeout) {
  options_.timeout = 200ms;
  options_.every = 0;
  const HangingDisk disk("fsync", "dense");
  const WriterSummary summary = Train(10, nullptr);
  EXPECT_EQ(disk.hangs(), 1);
  EXPECT_EQ(summary.failed, 1U);
  EXPECT_EQ(summary.skipped, 0U);
}

}  // namespace
}  // namespace dcn::checkpoint
