#include "launch/sweep/step_files.h"

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/temporary_folder.h"
#include "worker/export/step_file.h"

namespace dcn::sweep {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

constexpr AttemptSteps kOfLog{.resumed_from = 40, .last = 44};

class StepFilesTest : public ::testing::Test {
 protected:
  /// As rank 0 of an attempt does, which then is lost.
  void TakeSteps(std::size_t attempt, std::uint64_t resumed_from, std::uint64_t last) {
    const fs::path file = files_.File(run_, attempt);
    if (attempt > 0) testing::WriteText(file, "");  // as train.sh does
    Result<output::StepFile> steps = output::StepFile::Open(file);
    ASSERT_TRUE(steps.ok()) << steps.status().ToString();
    if (last == 0) return;
    steps->BeginSteps(resumed_from);
    steps->TakeStep(last);
  }

  /// (resumed from, last) of what ReadLeft gives, where it is exact.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ExactLeft() const {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> left;
    for (const AttemptSteps& attempt : files_.ReadLeft(run_)) {
      if (attempt.is_exact) left.emplace_back(*attempt.resumed_from, *attempt.last);
    }
    return left;
  }

  const testing::TemporaryFolder folder_;
  const testing::TemporaryFolder shared_memory_;
  const StepFiles files_{shared_memory_.path()};
  const PlannedRun run_ = {"dcn", 1, folder_.path() / "a", ""};
  const PlannedRun other_ = {"dcn", 2, folder_.path() / "b", ""};
};

TEST_F(StepFilesTest, AreNamedAfterTheRunsFolder) {
  EXPECT_NE(files_.Prefix(run_), files_.Prefix(other_));
  const PlannedRun same = {"dcn", 1, folder_.path() / "." / "c" / ".." / "a", ""};
  EXPECT_EQ(files_.Prefix(run_), files_.Prefix(same));
  EXPECT_EQ(files_.File(run_, 12), files_.Prefix(run_).string() + ".12");
}

TEST_F(StepFilesTest, TellWhatAnAttemptDid) {
  ASSERT_TRUE(files_.Renew(run_).ok());
  EXPECT_EQ(files_.Read(run_, 0, kOfLog), kOfLog);  // the worker ended before it opened it
  TakeSteps(0, 0, 0);
  EXPECT_EQ(files_.Read(run_, 0, kOfLog), (AttemptSteps{.is_exact = true}));
  TakeSteps(0, 40, 57);
  const AttemptSteps steps = files_.Read(run_, 0, kOfLog);
  EXPECT_EQ(steps.resumed_from, 40U);
  EXPECT_EQ(steps.last, 57U);
  EXPECT_TRUE(steps.is_exact);
  EXPECT_TRUE(steps.first_step_at.has_value());
  EXPECT_EQ(files_.Read(run_, 1, kOfLog), kOfLog);
  EXPECT_EQ(files_.Read(other_, 0, kOfLog), kOfLog);
}

TEST_F(StepFilesTest, AreRenewedAndRemovedForOneRunOnly) {
  ASSERT_TRUE(files_.Renew(other_).ok());
  ASSERT_TRUE(files_.Renew(run_).ok());
  for (const std::size_t attempt : {0U, 1U, 10U}) TakeSteps(attempt, 0, 5);
  testing::WriteText(files_.Prefix(run_).string() + ".1x", "not ours");
  ASSERT_TRUE(files_.Renew(run_).ok());
  EXPECT_EQ(files_.Read(run_, 0, kOfLog), kOfLog);
  EXPECT_EQ(shared_memory_.EntryCount(), 3U);
  files_.Remove(run_);
  EXPECT_EQ(shared_memory_.EntryCount(), 2U);
  EXPECT_TRUE(fs::exists(files_.File(other_, 0)));
}

TEST_F(StepFilesTest, AreAnswerableToTheirOwnerOnly) {
  ASSERT_TRUE(files_.Renew(run_).ok());
  EXPECT_EQ(fs::status(files_.File(run_, 0)).permissions(),
            fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(StepFilesTest, TellOfAllAttemptsThatAnEarlierSweepLeft) {
  EXPECT_THAT(files_.ReadLeft(run_), ElementsAre(AttemptSteps{}));
  ASSERT_TRUE(files_.Renew(run_).ok());
  TakeSteps(0, 0, 57);
  EXPECT_THAT(ExactLeft(), ElementsAre(Pair(0U, 57U)));
  TakeSteps(2, 40, 45);
  TakeSteps(10, 40, 80);
  EXPECT_THAT(ExactLeft(), ElementsAre(Pair(0U, 57U), Pair(40U, 45U), Pair(40U, 80U)));
}

TEST_F(StepFilesTest, TheLogTellsOfTheLastAttemptOtherwise) {
  ASSERT_TRUE(files_.Renew(run_).ok());
  TakeSteps(0, 0, 57);
  testing::WriteText(files_.File(run_, 1), "");
  fs::create_directories(run_.folder);
  testing::WriteText(run_.log_file(), "$ w\nresumed from step 40 of checkpoint x\nstep 44/50\n");
  const std::vector<AttemptSteps> left = files_.ReadLeft(run_);
  ASSERT_EQ(left.size(), 2U);
  EXPECT_EQ(left[0].last, 57U);
  EXPECT_EQ(left[1], kOfLog);
}

TEST_F(StepFilesTest, CannotBeMadeInAFolderThatIsNotThere) {
  const StepFiles nowhere(folder_.path() / "absent");
  const Status made = nowhere.Renew(run_);
  EXPECT_EQ(made.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(made.message(), HasSubstr("cannot make " + nowhere.File(run_, 0).string()));
  nowhere.Remove(run_);
  EXPECT_EQ(nowhere.Read(run_, 0, kOfLog), kOfLog);
}

}  // namespace
}  // namespace dcn::sweep
