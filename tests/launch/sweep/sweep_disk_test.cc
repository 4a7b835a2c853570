// dcn_sweep over fake workers, where a run's folder cannot be written or removed, as on a full
// disk: that costs the run in question its time, and the others nothing.

#include <csignal>
#include <filesystem>
#include <fstream>
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

TEST_F(SweepDiskTest, ARunThatCannotBeStartedTriesAgainAsLongAsOthersRun) {
  NamedPipe pipe(folder_.path() / "pipe");
  WriteExperiment("behaviour = 'wait'\nonly-seed = 1\npipe = '" + pipe.path().string() + "'\n");
  Obstruct("full");
  RunningCommand sweep(Arguments({"--max-restarts", "0"}), folder_.path() / "err.txt");
  EXPECT_THAT(pipe.ReadLine(), HasSubstr("started"));  // deep, seed 1
  AwaitEvents("not started", 4);                       // of full, seeds 1 and 2
  EXPECT_EQ(Events("failed"), 0U);
  fs::remove(output_ / "full");
  EXPECT_THAT(pipe.ReadLine(), HasSubstr("started"));  // full, seed 1
  sweep.Signal(SIGTERM);
  EXPECT_EQ(sweep.Wait().exit_code, 6);
  EXPECT_EQ(Events("stopped"), 2U);
  for (const json& entry : Entries("not started")) {
    EXPECT_EQ(entry.at("variant"), "full");
    EXPECT_GE(entry.at("wait_seconds"), .5);
    EXPECT_THAT(entry.at("reason"), HasSubstr("could not be started: cannot make the folder " +
                                              Run("full", entry.at("seed")).string()));
  }
}

TEST_F(SweepDiskTest, ARunThatCanNeverBeStartedFailsWhenTheOthersAreFinished) {
  WriteExperiment("");
  Obstruct("full");
  const CommandResult result = Sweep({"--max-restarts", "1"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("could not be started: cannot make the folder " +
                                    (output_ / "full").string()));
  EXPECT_THAT(result.out, HasSubstr("trying again in 0.5 s"));
  EXPECT_EQ(Events("finished"), 2U);  // deep, both seeds
  EXPECT_EQ(Events("failed"), 1U);
  EXPECT_EQ(Events("restarted"), 0U);
  EXPECT_EQ(Events("sweep ended"), 2U);
  EXPECT_THAT(ReadText(output_ / "report.html"), HasSubstr("2 of 4 runs"));
}

TEST_F(SweepDiskTest, AFullDiskIsWaitedFor) {
  if (const std::string why = testing::IsolateMounts(); !why.empty()) GTEST_SKIP() << why;
  WriteExperiment("");
  const fs::path full = output_ / "full";
  Obstruct("other");
  fs::create_directory(full);
  const testing::SmallDisk disk(full, std::size_t{1} << 20);
  std::ofstream(full / "filler") << std::string(std::size_t{2} << 20, 'x');  // as much as fits
  RunningCommand sweep(Arguments({"--max-restarts", "4"}), folder_.path() / "err.txt");
  AwaitEvents("not started", 2);
  fs::remove(full / "filler");
  EXPECT_EQ(sweep.Wait().exit_code, 0) << ReadText(folder_.path() / "err.txt");
  EXPECT_EQ(Events("finished"), 4U);
  EXPECT_THAT(Entries("not started")[0].at("reason"), HasSubstr("No space left on device"));
}

TEST_F(SweepDiskTest, SaysWhyItEndedWhereItsReportCannotBeWritten) {
  WriteExperiment("behaviour = 'lost'\ncode = 4\nonly-seed = 1\n");
  Obstruct("other");
  fs::remove(output_ / "report.html");
  fs::create_directories(output_ / "report.html" / "in the way");
  const CommandResult result = Sweep({"--max-restarts", "0"});
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_THAT(result.err, HasSubstr("seed 1 ended with exit code 4"));
  EXPECT_THAT(result.err, HasSubstr("report.html"));
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
