#include "worker/export/step_file.h"

#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/temporary_folder.h"

namespace dcn::output {
namespace {

using ::testing::HasSubstr;
using Clock = std::chrono::steady_clock;

class StepFileTest : public ::testing::Test {
 protected:
  void SetUp() override { testing::WriteText(file_, ""); }

  StepFile Open() const {
    Result<StepFile> file = StepFile::Open(file_);
    EXPECT_TRUE(file.ok()) << file.status().ToString();
    return *std::move(file);
  }

  StepReport Read() const {
    const Result<StepReport> report = ReadStepFile(file_);
    EXPECT_TRUE(report.ok()) << report.status().ToString();
    return report.ok() ? *report : StepReport{};
  }

  const testing::TemporaryFolder folder_;
  const std::filesystem::path file_ = folder_.path() / "steps";
};

TEST_F(StepFileTest, TellsHowFarTheRunHasCome) {
  StepFile file = Open();
  EXPECT_EQ(Read(), StepReport{});
  file.BeginSteps(40);
  EXPECT_EQ(Read(), (StepReport{StepPhase::kSteps, 40, 40, std::nullopt}));
  const auto before = Clock::now();
  file.TakeStep(41);
  const auto after = Clock::now();
  const StepReport first = Read();
  EXPECT_EQ(first.last_step, 41U);
  ASSERT_TRUE(first.first_step_at.has_value());
  EXPECT_GE(*first.first_step_at, before);
  EXPECT_LE(*first.first_step_at, after);
  for (std::uint64_t step = 42; step <= 1000; ++step) file.TakeStep(step);
  EXPECT_EQ(Read(), (StepReport{StepPhase::kSteps, 40, 1000, first.first_step_at}));
  file.EndSteps();
  EXPECT_EQ(Read(), (StepReport{StepPhase::kAfter, 40, 1000, first.first_step_at}));
}

TEST_F(StepFileTest, SurvivesAProcessThatIsKilled) {
  for (const std::uint64_t last : {41U, 58U, 4001U}) {
    const pid_t child = ::fork();
    if (child == 0) {
      StepFile file = Open();
      file.BeginSteps(40);
      for (std::uint64_t step = 41; step <= last; ++step) file.TakeStep(step);
      ::kill(::getpid(), SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(Read().last_step, last);
    EXPECT_EQ(Read().phase, StepPhase::kSteps);
  }
}

TEST_F(StepFileTest, BeginsAnewInAnEarlierRunsFile) {
  {
    StepFile file = Open();
    file.BeginSteps(40);
    file.TakeStep(41);
  }
  const StepFile file = Open();
  EXPECT_EQ(Read(), StepReport{});
}

TEST_F(StepFileTest, TellsNothingToNobody) {
  StepFile file;
  file.BeginSteps(3);
  file.TakeStep(4);
  file.EndSteps();
}

TEST_F(StepFileTest, TakesNothingElseThanAStepFile) {
  const std::filesystem::path text = folder_.path() / "notes.txt";
  for (const std::string& notes :
       {std::string("x"), std::string(40, 'x'), std::string(400, '\0')}) {
    testing::WriteText(text, notes);
    const Status status = StepFile::Open(text).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(status.message(), HasSubstr(text.string()));
    EXPECT_EQ(testing::ReadText(text), notes);
    EXPECT_EQ(ReadStepFile(text).status().code(), StatusCode::kDataLoss);
  }
  const std::filesystem::path pipe = folder_.path() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(StepFile::Open(pipe).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadStepFile(pipe).status().code(), StatusCode::kDataLoss);
  EXPECT_FALSE(StepFile::Open("/dev/full").ok());
}

TEST_F(StepFileTest, MakesNoFile) {
  const std::filesystem::path absent = folder_.path() / "absent";
  EXPECT_EQ(StepFile::Open(absent).status().code(), StatusCode::kInvalidArgument);
  EXPECT_FALSE(std::filesystem::exists(absent));
  EXPECT_EQ(ReadStepFile(absent).status().code(), StatusCode::kNotFound);
}

TEST_F(StepFileTest, IsNotReadThroughALink) {
  StepFile file = Open();
  file.BeginSteps(3);
  const std::filesystem::path link = folder_.path() / "link";
  std::filesystem::create_symlink(file_, link);
  EXPECT_FALSE(ReadStepFile(link).ok());
}

TEST_F(StepFileTest, TellsNothingUntilItIsOpened) {
  EXPECT_EQ(ReadStepFile(file_).status().code(), StatusCode::kDataLoss);
}

}  // namespace
}  // namespace dcn::output
