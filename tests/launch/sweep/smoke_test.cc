// The smoke experiment as it is shipped, with the real dcn_worker.

#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "launch/sweep/run_plan.h"
#include "tests/launch/report_maps.h"
#include "tests/testing/command.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::sweep {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class SmokeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* root = std::getenv("DCN_SOURCE_DIR");
    ASSERT_NE(root, nullptr) << "run through ctest";
    experiment_ = std::filesystem::path(root) / "launch" / "experiments" / "smoke.toml";
  }

  testing::CommandResult Sweep(const std::string& output, const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {testing::BuiltProgram("dcn_sweep"),
                                          experiment_,
                                          "--output",
                                          folder_.path() / output,
                                          "--epochs",
                                          "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return testing::RunCommand(arguments);
  }

  /// The digest of every run, by variant and seed.
  std::map<std::string, std::string> Digests(const std::string& output) const {
    std::map<std::string, std::string> digests;
    const json summary = json::parse(testing::ReadText(folder_.path() / output / "summary.json"));
    for (const json& variant : summary.at("variants")) {
      for (const json& run : variant.at("runs")) {
        digests[variant.at("name").get<std::string>() + run.at("seed").dump()] =
            run.at("parameter_digest").get<std::string>();
      }
    }
    return digests;
  }

  const testing::TemporaryFolder folder_;
  std::filesystem::path experiment_;
};

TEST_F(SmokeTest, TrainsTheSameModelsHoweverTheRunsShareTheMachine) {
  const testing::CommandResult side_by_side = Sweep("a", {"--slots", "3", "--threads", "1"});
  ASSERT_EQ(side_by_side.exit_code, 0) << side_by_side.err;
  const testing::CommandResult one_by_one = Sweep("b", {"--slots", "1", "--threads", "2"});
  ASSERT_EQ(one_by_one.exit_code, 0) << one_by_one.err;
  const std::map<std::string, std::string> digests = Digests("a");
  EXPECT_EQ(digests.size(), 6U);
  EXPECT_EQ(digests, Digests("b"));
  EXPECT_NE(digests.at("dcn1"), digests.at("dcn2"));
  const std::string html = testing::ReadText(folder_.path() / "a" / "report.html");
  EXPECT_THAT(html, HasSubstr("6 of 6 runs"));
  EXPECT_THAT(html, HasSubstr("No prediction can do better than"));
  EXPECT_THAT(html, HasSubstr("Kernel W = U V of rank 20."));
  for (const char* variant : {"dcn", "dcn-lowrank"}) {
    const auto maps = testing::MapsOfModels(folder_.path() / "a", variant, {1, 2});
    EXPECT_EQ(maps.features, 6U);
    testing::ExpectReportShows(folder_.path() / "a", variant, maps);
  }
}

TEST_F(SmokeTest, TrainsTheSameModelsWithSeveralProcessesForEachRun) {
  const std::vector<std::string> one_run = {"--variants", "dcn", "--seeds", "1"};
  const testing::CommandResult one_process = Sweep("a", one_run);
  ASSERT_EQ(one_process.exit_code, 0) << one_process.err;
  const std::map<std::string, std::string> digests = Digests("a");
  EXPECT_EQ(digests.size(), 1U);
  for (const char* const servers : {"0", "2"}) {
    std::vector<std::string> more = one_run;
    more.insert(more.end(), {"--workers", "2", "--servers", servers});
    const std::string output = std::string("with-") + servers;
    const testing::CommandResult several = Sweep(output, more);
    ASSERT_EQ(several.exit_code, 0) << several.err;
    EXPECT_EQ(Digests(output), digests);
    const json result = json::parse(
        testing::ReadText(RunFolder(folder_.path() / output, "dcn", 1) / "result.json"));
    EXPECT_EQ(result.at("workers"), 2);
  }
}

TEST_F(SmokeTest, RefusesWrongOptionsOfAnExperimentAndLeavesNothing) {
  const std::string good = testing::ReadText(experiment_);
  experiment_ = folder_.path() / "mine.toml";
  const auto refuse = [&](const std::string& head, const std::string& training,
                          const std::string& variant, const std::string& error) {
    testing::WriteText(experiment_, head +
                                        "name = 'mine'\ndata = 'synthetic-small'\nseeds = [1]\n"
                                        "[training]\n" +
                                        training + "\n[[variant]]\nname = 'a'\n" + variant + "\n");
    const testing::CommandResult result = Sweep("out", {});
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_THAT(result.err, HasSubstr("dcn_sweep: " + experiment_.string() + error));
    EXPECT_FALSE(std::filesystem::exists(folder_.path() / "out")) << error;
  };
  const std::string dcn = "model = 'dcn'";
  refuse("", "epochs = 0", dcn, ":5: --epochs: 0 is not a whole number in 1 .. 1000000");
  refuse("\n", "epoch = 1", dcn, ":6: unknown key 'epoch'; a key is an option of dcn_worker");
  refuse("", "learning-rate = 1e9", dcn, ":5: --learning-rate: 1000000000 is not a number");
  refuse("", "", "model = 'nope'", ":8: --model: nope");
  refuse("", "", dcn + "\n[variant.training]\nseeed = 1", ":10: unknown key 'seeed'");
  refuse("", "", dcn + "\n[variant.training]\nslice-rows = -1", ":10: --slice-rows: -1 is not");
  refuse("", "", "[variant.model]\ndeep = [0]", ":9: model.deep: expected");
  refuse("", "resume = true", dcn, ":6: variant a: --resume: needs --checkpoint-dir");
  testing::WriteText(experiment_, good);
  const testing::CommandResult mended = Sweep("out", {"--variants", "dcn", "--seeds", "1"});
  EXPECT_EQ(mended.exit_code, 0) << mended.err;
}

TEST_F(SmokeTest, LeavesRunsThatTheirCommandRepeats) {
  const testing::CommandResult sweep = Sweep("a", {"--variants", "dcn-lowrank", "--seeds", "2"});
  ASSERT_EQ(sweep.exit_code, 0) << sweep.err;
  const std::filesystem::path run = RunFolder(folder_.path() / "a", "dcn-lowrank", 2);
  const testing::CommandResult again = testing::RunCommand(
      {testing::BuiltProgram("dcn_worker"), "--config", run / "config.toml", "--seed", "2",
       "--data", "synthetic-small", "--output", folder_.path() / "again", "--threads", "2"});
  ASSERT_EQ(again.exit_code, 0) << again.err;
  const json result = json::parse(testing::ReadText(folder_.path() / "again" / "result.json"));
  EXPECT_EQ(result.at("parameter_digest"), Digests("a").at("dcn-lowrank2"));
  EXPECT_EQ(result.at("configuration"),
            json::parse(testing::ReadText(run / "result.json")).at("configuration"));
}

TEST_F(SmokeTest, ShowsTheWorkersOwnComplaint) {
  testing::WriteText(folder_.path() / "wrong.toml",
                     "name = 'wrong'\ndata = 'synthetic-small'\nseeds = [1]\n"
                     "[[variant]]\nname = 'dcn'\n[variant.model]\n"
                     "embedding-dimension = { genre = 3 }\n");  // known only with the data
  experiment_ = folder_.path() / "wrong.toml";
  const testing::CommandResult result = Sweep("a", {});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("dcn seed 1 ended with exit code 2:"));
  EXPECT_THAT(result.err, HasSubstr("the data set has no such feature"));
}

}  // namespace
}  // namespace dcn::sweep
