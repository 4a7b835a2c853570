#include "launch/sweep/run_plan.h"

#include <algorithm>
#include <string>
#include <sys/stat.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <toml++/toml.h>

#include "launch/sweep/toml_json.h"
#include "tests/launch/fixture_sweep.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::sweep {
namespace {

using ::testing::ElementsAre;

Experiment MakeExperiment() {
  return {"study",
          "A study",
          "synthetic",
          {4, 2},
          {{"a", {{"epochs", 3}, {"model", "dcn"}}}, {"b", {{"epochs", 3}, {"model", "dnn"}}}}};
}

TEST(RunPlanTest, RunsAllVariantsWithOneSeedBeforeTheNext) {
  std::vector<std::string> folders;
  for (const PlannedRun& run : PlanRuns(MakeExperiment(), "out")) {
    folders.push_back(run.folder.string());
  }
  EXPECT_THAT(folders, ElementsAre("out/a/seed-4", "out/b/seed-4", "out/a/seed-2", "out/b/seed-2"));
}

TEST(RunPlanTest, WritesTheOptionsAsTheWorkersConfiguration) {
  const std::vector<PlannedRun> runs = PlanRuns(MakeExperiment(), "out");
  const toml::table config = toml::parse(runs[1].config);
  EXPECT_EQ(*JsonFromToml(config), MakeExperiment().variants[1].options);
  EXPECT_EQ(runs[1].config, runs[3].config);  // seeds are on the command line
}

TEST(RunPlanTest, CallsTheWorkerWithEverythingOfTheRun) {
  const PlannedRun run = PlanRuns(MakeExperiment(), "out").at(2);
  EXPECT_THAT(RunArguments({"bin/dcn_worker", "data/ml-1m", "out/cache", 3}, run, 3, ""),
              ElementsAre("bin/dcn_worker", "--config", "out/a/seed-2/config.toml", "--seed", "2",
                          "--data", "data/ml-1m", "--data-cache", "out/cache", "--output",
                          "out/a/seed-2", "--threads", "3"));
}

TEST(RunPlanTest, NamesTheRunsCheckpointsOnTheCommandLine) {
  const PlannedRun run = PlanRuns(MakeExperiment(), "out").at(2);
  const std::vector<std::string> arguments =
      RunArguments({"bin/dcn_worker", "data/ml-1m", "out/cache", 3, 50}, run, 3, "");
  ASSERT_GT(arguments.size(), 5U);
  EXPECT_THAT(std::vector(arguments.end() - 5, arguments.end()),
              ElementsAre("--checkpoint-dir", "out/a/seed-2/checkpoints", "--checkpoint-every",
                          "50", "--resume"));
  EXPECT_THAT(run.config, ::testing::Not(::testing::HasSubstr("checkpoint")));
}

TEST(RunPlanTest, CallsTheScriptWhereARunIsSeveralProcesses) {
  const PlannedRun run = PlanRuns(MakeExperiment(), "out").at(2);
  WorkerCommand command{"bin/dcn_worker", "data/ml-1m", "out/cache", 3};
  command.train_script = "launch/train.sh";
  command.workers = 2;
  command.servers = 4;
  const std::vector<std::string> arguments = RunArguments(command, run, 3, "");
  ASSERT_GT(arguments.size(), 13U);
  EXPECT_THAT(std::vector(arguments.begin(), arguments.begin() + 13),
              ElementsAre("launch/train.sh", "--stall-timeout", "300", "--bin", "bin", "--workers",
                          "2", "--servers", "4", "--oversubscribe", "--max-restarts", "3", "--"));
  command.train_script.clear();
  const std::vector<std::string> of_worker = RunArguments(command, run, 3, "");
  EXPECT_EQ(std::vector(arguments.begin() + 13, arguments.end()),
            std::vector(of_worker.begin() + 1, of_worker.end()));
}

TEST(RunPlanTest, CallsSrunWhereItStartsTheWorkers) {
  const PlannedRun run = PlanRuns(MakeExperiment(), "out").at(2);
  WorkerCommand command{"bin/dcn_worker", "data/ml-1m", "out/cache", 3};
  const std::vector<std::string> of_worker = RunArguments(command, run, 3, "");
  command.srun = "/usr/bin/srun";
  command.workers = 2;
  const std::vector<std::string> arguments = RunArguments(command, run, 3, "");
  ASSERT_GT(arguments.size(), 7U);
  EXPECT_THAT(std::vector(arguments.begin(), arguments.begin() + 7),
              ElementsAre("/usr/bin/srun", "--job-name=dcn-a-2", "--ntasks=2", "--cpus-per-task=3",
                          "--exact", "--mpi=pmix", "--kill-on-bad-exit=1"));
  EXPECT_EQ(std::vector(arguments.begin() + 7, arguments.end()), of_worker);
}

TEST(RunPlanTest, NamesTheStepFilesToTheWorkerOrTheScript) {
  const PlannedRun run = PlanRuns(MakeExperiment(), "out").at(2);
  WorkerCommand command{"bin/dcn_worker", "data/ml-1m", "out/cache", 3};
  const std::vector<std::string> of_worker = RunArguments(command, run, 3, "shm/x");
  EXPECT_THAT(std::vector(of_worker.begin(), of_worker.begin() + 3),
              ElementsAre("bin/dcn_worker", "--step-file", "shm/x.0"));
  command.train_script = "launch/train.sh";
  const std::vector<std::string> of_script = RunArguments(command, run, 3, "shm/x");
  ASSERT_GT(of_script.size(), 5U);
  EXPECT_THAT(std::vector(of_script.begin() + 3, of_script.begin() + 5),
              ElementsAre("--step-files", "shm/x"));
  const auto end = std::find(of_script.begin(), of_script.end(), "--");
  EXPECT_EQ(std::vector(end + 1, of_script.end()),
            std::vector(of_worker.begin() + 3, of_worker.end()));
}

class FinishedRunTest : public ::testing::Test {
 protected:
  void WriteResult(std::uint64_t seed) {
    ASSERT_TRUE(output::WriteResult(run_.folder, testing::FixtureResult("full", seed)).ok());
  }

  const testing::TemporaryFolder folder_;
  const PlannedRun run_ = PlanRuns(MakeExperiment(), folder_.path()).front();
};

TEST_F(FinishedRunTest, IsNotThereBeforeItRan) {
  EXPECT_EQ(ReadFinishedRun(run_).status().code(), StatusCode::kNotFound);
  ASSERT_TRUE(PrepareRun(run_).ok());
  EXPECT_EQ(ReadFinishedRun(run_).status().code(), StatusCode::kNotFound);
}

TEST_F(FinishedRunTest, IsReadWhenItIsThisRuns) {
  ASSERT_TRUE(PrepareRun(run_).ok());
  WriteResult(run_.seed);
  const Result<output::RunResult> result = ReadFinishedRun(run_);
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_EQ(*result, testing::FixtureResult("full", run_.seed));
}

TEST_F(FinishedRunTest, MustRunAgainWithAnotherSeedConfigurationOrDamage) {
  ASSERT_TRUE(PrepareRun(run_).ok());
  WriteResult(run_.seed + 1);
  EXPECT_EQ(ReadFinishedRun(run_).status().code(), StatusCode::kAlreadyExists);
  WriteResult(run_.seed);
  PlannedRun other = run_;
  other.config += "optimizer = \"sgd\"\n";
  EXPECT_EQ(ReadFinishedRun(other).status().code(), StatusCode::kAlreadyExists);
  const std::string text = testing::ReadText(run_.result_file());
  testing::WriteText(run_.result_file(), text.substr(0, text.size() / 2));
  EXPECT_EQ(ReadFinishedRun(run_).status().code(), StatusCode::kDataLoss);
}

TEST_F(FinishedRunTest, PreparingRemovesAnEarlierResult) {
  ASSERT_TRUE(PrepareRun(run_).ok());
  WriteResult(run_.seed);
  PlannedRun other = run_;
  other.config += "optimizer = \"sgd\"\n";
  ASSERT_TRUE(PrepareRun(other).ok());
  EXPECT_EQ(ReadFinishedRun(other).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(testing::ReadText(other.config_file()), other.config);
}

TEST_F(FinishedRunTest, CheckpointsOfAnEarlierStartAreUsedWithoutNewOnes) {
  std::filesystem::create_directories(run_.checkpoints());
  EXPECT_THAT(RunArguments({"dcn_worker", "data", "cache"}, run_, 3, ""),
              ::testing::IsSupersetOf({"--checkpoint-dir", run_.checkpoints().c_str(),
                                       "--checkpoint-every", "0", "--resume"}));
}

TEST_F(FinishedRunTest, PreparingAgainWritesNothing) {
  ASSERT_TRUE(PrepareRun(run_).ok());
  const auto inode = [&] {
    struct stat status = {};
    EXPECT_EQ(::stat(run_.config_file().c_str(), &status), 0);
    return status.st_ino;
  };
  const auto written = inode();
  ASSERT_TRUE(PrepareRun(run_).ok());
  EXPECT_EQ(inode(), written);  // a new file is another one
}

TEST_F(FinishedRunTest, PreparingKeepsCheckpointsOfTheSameConfigurationOnly) {
  const std::filesystem::path checkpoint = run_.checkpoints() / "step-40" / "data";
  ASSERT_TRUE(PrepareRun(run_).ok());
  std::filesystem::create_directories(checkpoint.parent_path());
  testing::WriteText(checkpoint, "x");
  ASSERT_TRUE(PrepareRun(run_).ok());
  EXPECT_TRUE(std::filesystem::exists(checkpoint));
  PlannedRun other = run_;
  other.config += "optimizer = \"sgd\"\n";
  ASSERT_TRUE(PrepareRun(other).ok());
  EXPECT_FALSE(std::filesystem::exists(run_.checkpoints()));
  EXPECT_TRUE(RemoveCheckpoints(run_).ok());  // none there is good, too
}

}  // namespace
}  // namespace dcn::sweep
