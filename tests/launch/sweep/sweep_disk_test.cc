// dcn_sweep over fake workers, where a run's folder cannot be written or removed, as on a full
// disk: that costs the run in question its time, and the others nothing.

#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/launch/sweep/fake_sweep.h"
#include "tests/testing/mount.h"

namespace dcn::sweep {
namespace {

using ::testing::HasSubstr;

class SweepDiskTest : public FakeSweep {
 protected:
  /// A finished run makes the folder one of dcn_sweep's; then runs of the variant can have none,
  /// not even of root.
  void Obstruct(const std::string& variant) const {
    ASSERT_EQ(Sweep({"--seeds", "2", "--variants", "deep"}).exit_code, 0);
    WriteText(output_ / variant, "a file");
  }
};

TEST_F(SweepDiskTest, ARunThatCannotBeStartedTriesAgainAndTheOthersGoOn) {
  WriteExperiment("");
  Obstruct("full");
  RunningCommand sweep(Arguments({"--seeds", "1,2", "--max-restarts", "9"}),
                       folder_.path() / "err.txt");
  AwaitEvents("restarted", 3);  // one of the two at the second time
  EXPECT_EQ(Events("finished"), 2U);
  fs::remove(output_ / "full");
  EXPECT_EQ(sweep.Wait().exit_code, 0) << ReadText(folder_.path() / "err.txt");
  EXPECT_EQ(Events("finished"), 4U);
  EXPECT_EQ(Events("started"), 4U);
  for (const json& entry : Entries("restarted")) {
    EXPECT_EQ(entry.at("variant"), "full");
    EXPECT_THAT(entry.at("reason"), HasSubstr("could not be started: cannot make the folder " +
                                              Run("full", entry.at("seed")).string()));
    EXPECT_FALSE(entry.contains("last_step"));
  }
}

TEST_F(SweepDiskTest, ARunThatCanNeverBeStartedEndsTheSweepInGoodOrder) {
  NamedPipe pipe(folder_.path() / "pipe");
  WriteExperiment("behaviour = 'wait'\nonly-seed = 1\npipe = '" + pipe.path().string() + "'\n");
  Obstruct("full");
  RunningCommand sweep(Arguments({"--seeds", "1,2", "--max-restarts", "1"}),
                       folder_.path() / "err.txt");
  EXPECT_THAT(pipe.ReadLine(), HasSubstr("started"));
  EXPECT_EQ(pipe.ReadLine(), "asked to stop");  // not killed
  EXPECT_EQ(sweep.Wait().exit_code, 2);
  EXPECT_THAT(ReadText(folder_.path() / "err.txt"),
              HasSubstr("could not be started: cannot make the folder " + output_.string()));
  EXPECT_EQ(Events("failed"), 1U);
  EXPECT_EQ(Events("stopped"), 1U);
  EXPECT_EQ(Events("sweep ended"), 2U);
  EXPECT_THAT(ReadText(output_ / "report.html"), HasSubstr("1 of 4 runs"));
}

TEST_F(SweepDiskTest, CheckpointsThatCannotBeRemovedEndNothing) {
  if (const std::string why = testing::IsolateMounts(); !why.empty()) GTEST_SKIP() << why;
  WriteExperiment("behaviour = 'lost'\nsignal = 9\nonly-seed = 1\n");
  const fs::path checkpoints = Run("full", 1) / "checkpoints";
  const std::vector<std::string> options = {"--variants", "full", "--checkpoint-every", "20"};
  ASSERT_EQ(Sweep({"--seeds", "2", "--variants", "full"}).exit_code, 0);
  fs::create_directories(checkpoints);
  {
    const testing::SmallDisk mounted(checkpoints, std::size_t{1} << 20);
    const CommandResult result = Sweep(options);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_THAT(result.out, HasSubstr("cannot remove " + checkpoints.string()));
    EXPECT_EQ(Events("finished"), 2U);
    EXPECT_EQ(Sweep(options).exit_code, 0);  // nor at the next start
  }
  EXPECT_EQ(Sweep(options).exit_code, 0);
  EXPECT_FALSE(fs::exists(checkpoints));
}

TEST_F(SweepDiskTest, CheckpointsOfAnEarlierStartAreUsedByOneThatMakesNone) {
  WriteExperiment("behaviour = 'lost'\ncode = 4\nonly-seed = 1\n");
  const std::vector<std::string> one = {"--variants", "full",           "--seeds",
                                        "1",          "--max-restarts", "0"};
  std::vector<std::string> first = one;
  first.insert(first.end(), {"--checkpoint-every", "20"});
  ASSERT_EQ(Sweep(first).exit_code, 4);
  ASSERT_TRUE(fs::exists(Run("full", 1) / "checkpoints" / "step-40"));
  EXPECT_EQ(Sweep(one).exit_code, 0);
  const std::string log = ReadText(Run("full", 1) / "log.txt");
  EXPECT_THAT(log.substr(log.rfind("$ ")), HasSubstr("resumed from step 40"));
}

}  // namespace
}  // namespace dcn::sweep
