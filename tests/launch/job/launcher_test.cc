#include "launch/job/launcher.h"

#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dcn::job {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class LauncherTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* const name : kRankVariables) ::unsetenv(name);
    for (const char* const name : {"PMI_SIZE", "SLURM_STEP_NUM_TASKS"}) ::unsetenv(name);
  }
};

TEST_F(LauncherTest, IsRecognizedByItsVariables) {
  EXPECT_FALSE(IsUnderLauncher());
  for (const char* const name : kRankVariables) {
    ::setenv(name, "0", 1);
    EXPECT_TRUE(IsUnderLauncher()) << name;
    ::unsetenv(name);
  }
}

TEST_F(LauncherTest, MustSpeakOfAsManyProcessesAsMpi) {
  EXPECT_TRUE(CheckLauncherSize(1).ok());
  EXPECT_TRUE(CheckLauncherSize(4).ok());
  ::setenv("OMPI_COMM_WORLD_SIZE", "4", 1);
  EXPECT_TRUE(CheckLauncherSize(4).ok());
  const Status status = CheckLauncherSize(1);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("OMPI_COMM_WORLD_SIZE says 4 processes"),
                                      HasSubstr("MPI sees 1"), HasSubstr("--mpi=pmix")));
}

TEST_F(LauncherTest, MayBeASlurmThatStartsCopiesWithoutMpi) {
  ::setenv("SLURM_STEP_NUM_TASKS", "1", 1);
  EXPECT_TRUE(CheckLauncherSize(1).ok());
  ::setenv("SLURM_STEP_NUM_TASKS", "2", 1);
  EXPECT_EQ(CheckLauncherSize(1).code(), StatusCode::kInvalidArgument);
}

TEST_F(LauncherTest, MayBeAnMpirunWhoseDaemonsSlurmStarted) {
  ::setenv("OMPI_COMM_WORLD_SIZE", "8", 1);
  ::setenv("SLURM_STEP_NUM_TASKS", "2", 1);
  EXPECT_TRUE(CheckLauncherSize(8).ok());
  ::setenv("OMPI_COMM_WORLD_SIZE", "1", 1);
  EXPECT_TRUE(CheckLauncherSize(1).ok());
}

}  // namespace
}  // namespace dcn::job
