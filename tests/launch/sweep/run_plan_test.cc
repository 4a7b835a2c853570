#include "launch/sweep/run_plan.h"

#include <string>
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
  EXPECT_THAT(WorkerArguments({"bin/dcn_worker", "data/ml-1m", "out/cache", 3}, run),
              ElementsAre("bin/dcn_worker", "--config", "out/a/seed-2/config.toml", "--seed", "2",
                          "--data", "data/ml-1m", "--data-cache", "out/cache", "--output",
                          "out/a/seed-2", "--threads", "3"));
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

}  // namespace
}  // namespace dcn::sweep
