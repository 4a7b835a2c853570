#include "worker/checkpoint/background_checkpoint.h"

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/hanging_disk.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::checkpoint {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using testing::HangingDisk;
using ::testing::HasSubstr;

class BackgroundCheckpointTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<CheckpointFolder> folder = CheckpointFolder::Open(path_, 0ms);
    ASSERT_TRUE(folder.ok()) << folder.status().ToString();
    folder_ = std::make_shared<CheckpointFolder>(*std::move(folder));
  }

  void Begin(ps::Step step) {
    checkpoint_.emplace(folder_, CheckpointName{.step = step, .epoch = 1}, 1);
    const Status made = checkpoint_->AwaitFolder(Clock::now() + 60s);
    EXPECT_TRUE(made.ok()) << made.ToString();
    EXPECT_TRUE(fs::is_directory(PathOf(step)));
  }
  void WriteDense() {
    BackgroundCheckpoint::Content content;
    content.spec = {.name = "m",
                    .features = {{.name = "a", .rows = 5, .dimension = 3}},
                    .cross = {{}},
                    .deep = {}};
    content.optimizer = ps::SgdOptions{};
    content.dense.state.parameters.resize(content.spec.dense_size());
    checkpoint_->WriteDense(std::move(content));
  }
  // The thread's end.
  Status Outcome() {
    EXPECT_TRUE(checkpoint_->AwaitEnd(Clock::now() + 60s));
    return checkpoint_->outcome();
  }
  [[nodiscard]] fs::path PathOf(ps::Step step) const {
    return path_ / CheckpointName{.step = step, .epoch = 1}.folder();
  }

  testing::TemporaryFolder temporary_;
  const fs::path path_ = fs::canonical(temporary_.path()) / "checkpoints";
  std::shared_ptr<CheckpointFolder> folder_;
  std::optional<BackgroundCheckpoint> checkpoint_;
};

TEST_F(BackgroundCheckpointTest, IsWholeOnceAllFilesAreThereAndOlderOnesGo) {
  for (const ps::Step step : {10U, 20U}) {
    Begin(step);
    WriteDense();
    EXPECT_EQ(checkpoint_->outcome().code(), StatusCode::kUnavailable);
    checkpoint_->AddShards({{"shard", {}}});
    EXPECT_TRUE(Outcome().ok()) << Outcome().ToString();
    EXPECT_TRUE(checkpoint_->clearing().ok());
    EXPECT_FALSE(checkpoint_->GiveUp());
    const Result<Manifest> manifest = ReadManifest(PathOf(step));
    EXPECT_NE(manifest.status().code(), StatusCode::kNotFound);
  }
  EXPECT_FALSE(fs::exists(PathOf(10)));
}

TEST_F(BackgroundCheckpointTest, OneThatIsGivenUpRemovesItsFolder) {
  Begin(10);
  EXPECT_TRUE(checkpoint_->GiveUp());
  EXPECT_EQ(Outcome().code(), StatusCode::kCancelled);
  EXPECT_FALSE(fs::exists(PathOf(10)));
  Begin(20);
  WriteDense();
  checkpoint_.reset();
  EXPECT_FALSE(fs::exists(PathOf(20)));
}

TEST_F(BackgroundCheckpointTest, AFolderThatCannotBeMadeIsNamed) {
  testing::WriteText(PathOf(10), "");
  checkpoint_.emplace(folder_, CheckpointName{.step = 10, .epoch = 1}, 1);
  const Status made = checkpoint_->AwaitFolder(Clock::now() + 60s);
  EXPECT_THAT(made.message(), HasSubstr("cannot make the folder " + PathOf(10).string()));
  EXPECT_EQ(Outcome().code(), made.code());
}

TEST_F(BackgroundCheckpointTest, AFolderThatIsThereAlreadyIsNeitherWrittenIntoNorRemoved) {
  fs::create_directory(PathOf(10));
  testing::WriteText(PathOf(10) / kManifestFile, "another's");
  checkpoint_.emplace(folder_, CheckpointName{.step = 10, .epoch = 1}, 1);
  ASSERT_EQ(checkpoint_->AwaitFolder(Clock::now() + 60s).code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(Outcome().code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(testing::ReadText(PathOf(10) / kManifestFile), "another's");
}

TEST_F(BackgroundCheckpointTest, AFolderThatHangsIsNotWaitedForAndGoesOnceTheDiskAnswers) {
  HangingDisk disk("mkdir", "step-");
  checkpoint_.emplace(folder_, CheckpointName{.step = 10, .epoch = 1}, 1);
  disk.AwaitHang();
  const Status made = checkpoint_->AwaitFolder(Clock::now() + 1ms);
  EXPECT_EQ(made.code(), StatusCode::kDeadlineExceeded);
  EXPECT_THAT(made.message(), HasSubstr("cannot make the folder " + PathOf(10).string() +
                                        ": the disk has not answered for"));
  EXPECT_TRUE(checkpoint_->GiveUp());
  EXPECT_FALSE(checkpoint_->has_ended());
  disk.Answer();
  EXPECT_EQ(Outcome().code(), StatusCode::kCancelled);
  EXPECT_FALSE(fs::exists(PathOf(10)));
}

TEST_F(BackgroundCheckpointTest, AFileThatHangsIsNamedAndGivenUp) {
  HangingDisk disk("fsync", "dense");
  Begin(10);
  WriteDense();
  disk.AwaitHang();
  EXPECT_THAT(checkpoint_->wait_text(),
              HasSubstr((PathOf(10) / kDenseFile).string() + ": the disk has not answered for"));
  EXPECT_TRUE(checkpoint_->GiveUp());
  EXPECT_FALSE(checkpoint_->AwaitEnd(Clock::now() + 1ms));
  EXPECT_EQ(checkpoint_->outcome().code(), StatusCode::kUnavailable);
  disk.Answer();
  EXPECT_EQ(Outcome().code(), StatusCode::kCancelled);
  EXPECT_FALSE(fs::exists(PathOf(10)));
}

TEST_F(BackgroundCheckpointTest, AManifestThatHangsMayStillMakeItWhole) {
  HangingDisk disk("fsync", "manifest");
  Begin(10);
  WriteDense();
  checkpoint_->AddShards({{"shard", {}}});
  disk.AwaitHang();
  EXPECT_TRUE(checkpoint_->GiveUp());
  disk.Answer();
  EXPECT_TRUE(Outcome().ok()) << Outcome().ToString();
  EXPECT_TRUE(fs::exists(PathOf(10) / kManifestFile));
}

TEST_F(BackgroundCheckpointTest, ItsOwnerEndsWithoutItAndTheFolderStaysLocked) {
  HangingDisk disk("fsync", "dense");
  Begin(10);
  WriteDense();
  disk.AwaitHang();
  checkpoint_.reset();
  folder_.reset();
  EXPECT_EQ(CheckpointFolder::Open(path_, 0ms).status().code(), StatusCode::kUnavailable);
  disk.Answer();
  const Result<CheckpointFolder> next = CheckpointFolder::Open(path_, 60'000ms);
  EXPECT_TRUE(next.ok()) << next.status().ToString();
  EXPECT_FALSE(fs::exists(PathOf(10)));
}

}  // namespace
}  // namespace dcn::checkpoint
