// The experiment on real ratings, from dcn_sweep: the numbers of the reference within its spread.
//
// Folders: DCN_ML1M_DIR (MovieLens-1M's format) and DCN_ML100K_DIR. The bounds are those within
// which a mean of five runs counts as the reference's own.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "common/file/safetensors.h"
#include "tests/testing/command.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::launch {
namespace {

using testing::ReadText;
using testing::TemporaryFolder;

struct Bounds {
  double least;
  double most;
};

#define DCN_REQUIRE_DATA(variable)                                                     \
  const char* const data = std::getenv(variable);                                      \
  if (data == nullptr) {                                                               \
    GTEST_SKIP() << variable " is not set: the experiment on that data is not tested"; \
  }                                                                                    \
  static_assert(true)

nlohmann::json RunSweep(const std::string& experiment, const std::string& data,
                        const std::filesystem::path& output,
                        const std::vector<std::string>& more = {}) {
  const std::string file =
      std::string(std::getenv("DCN_SOURCE_DIR")) + "/launch/experiments/" + experiment;
  std::vector<std::string> arguments = {
      testing::BuiltProgram("dcn_sweep"), file, "--data", data, "--output", output};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const auto sweep = testing::RunCommand(arguments, std::chrono::seconds(1500));
  EXPECT_EQ(sweep.exit_code, 0) << sweep.err;
  if (sweep.exit_code != 0) return {};
  EXPECT_TRUE(std::filesystem::exists(output / "report.html"));
  EXPECT_TRUE(std::filesystem::exists(output / "summary.csv"));
  return nlohmann::json::parse(ReadText(output / "summary.json"));
}

void ExpectWithin(const nlohmann::json& summary, const std::map<std::string, Bounds>& bounds,
                  std::size_t runs = 5) {
  std::size_t seen = 0;
  for (const nlohmann::json& variant : summary["variants"]) {
    const auto bound = bounds.find(variant["name"].get<std::string>());
    ASSERT_NE(bound, bounds.end()) << variant["name"];
    EXPECT_EQ(variant["runs"].size(), runs);
    const double mean = variant["mean"].get<double>();
    std::printf("%-12s %.4f +- %.4f (%.4f .. %.4f)\n", bound->first.c_str(), mean,
                variant["standard_deviation"].get<double>(), variant["minimum"].get<double>(),
                variant["maximum"].get<double>());
    EXPECT_GE(mean, bound->second.least) << bound->first;
    EXPECT_LE(mean, bound->second.most) << bound->first;
    ++seen;
  }
  EXPECT_EQ(seen, bounds.size());
}

// Norms of the 32 x 32 blocks of the exported cross kernel, the obvious way.
std::vector<std::vector<double>> BlockNorms(const std::filesystem::path& model) {
  const auto file = SafetensorsFile::Open(model);
  EXPECT_TRUE(file.ok()) << file.status().ToString();
  const auto kernel = file->Get("cross/0/kernel");
  EXPECT_TRUE(kernel.ok()) << kernel.status().ToString();
  std::vector<std::vector<double>> norms(6, std::vector<double>(6));
  for (std::size_t i = 0; i < 192; ++i) {
    for (std::size_t j = 0; j < 192; ++j) {
      norms[i / 32][j / 32] += std::pow(kernel->values[i * 192 + j], 2.0);
    }
  }
  for (auto& row : norms) {
    for (double& norm : row) norm = std::sqrt(norm);
  }
  return norms;
}

TEST(Experiment, LandsOnTheReferenceOnMovieLens1M) {
  DCN_REQUIRE_DATA("DCN_ML1M_DIR");
  const TemporaryFolder folder;
  const nlohmann::json summary = RunSweep("movielens-1m.toml", data, folder.path());
  ASSERT_FALSE(HasFailure());
  // Without a cross layer the spread over seeds is wide: see the test over fifteen seeds below.
  ExpectWithin(summary,
               {{"dcn", {.930, .940}}, {"dcn-lowrank", {.931, .941}}, {"dnn", {.935, .952}}});
  for (const nlohmann::json& variant : summary["variants"]) {
    if (variant["name"] != "dcn") continue;
    EXPECT_LE(variant["standard_deviation"].get<double>(), .004);
  }

  // The heat map: the strongest pair of features, over the mean of the seeds.
  std::vector<std::vector<double>> mean(6, std::vector<double>(6));
  for (int seed = 6; seed <= 10; ++seed) {
    const auto norms =
        BlockNorms(folder.path() / "dcn" / ("seed-" + std::to_string(seed)) / "model.safetensors");
    for (std::size_t i = 0; i < 6; ++i) {
      for (std::size_t j = 0; j < 6; ++j) mean[i][j] += norms[i][j] / 5;
    }
  }
  std::size_t strongest = 0;
  for (std::size_t k = 0; k < 36; ++k) {
    if (mean[k / 6][k % 6] > mean[strongest / 6][strongest % 6]) strongest = k;
  }
  EXPECT_EQ(std::min(strongest / 6, strongest % 6), 0U) << "movie_id is in the strongest pair";
  EXPECT_EQ(std::max(strongest / 6, strongest % 6), 1U) << "user_id is in the strongest pair";

  // The report shows these very numbers.
  const std::string report = ReadText(folder.path() / "report.html");
  EXPECT_NE(report.find(fmt::format("{:.2f}", mean[strongest / 6][strongest % 6])),
            std::string::npos);
}

TEST(Experiment, LandsOnTheReferenceWithoutCrossLayersOverFifteenSeeds) {
  DCN_REQUIRE_DATA("DCN_ML1M_DIR");
  const TemporaryFolder folder;
  std::vector<std::string> more = {"--variants", "dnn", "--seeds"};
  for (int seed = 1; seed <= 15; ++seed) more.push_back(std::to_string(seed));
  const nlohmann::json summary = RunSweep("movielens-1m.toml", data, folder.path(), more);
  ASSERT_FALSE(HasFailure());
  ExpectWithin(summary, {{"dnn", {.935, .952}}}, 15);
}

TEST(Experiment, LandsOnTheReferenceOnMovieLens100K) {
  DCN_REQUIRE_DATA("DCN_ML100K_DIR");
  const TemporaryFolder folder;
  const nlohmann::json summary = RunSweep("movielens-100k.toml", data, folder.path());
  ASSERT_FALSE(HasFailure());
  ExpectWithin(summary,
               {{"dcn", {.929, .941}}, {"dcn-lowrank", {.929, .941}}, {"dnn", {.929, .941}}});
}

// The digest of a whole run, or of some steps of it.
std::string Digest(const std::string& data, const std::filesystem::path& output,
                   std::vector<std::string> more) {
  std::vector<std::string> arguments = {testing::BuiltProgram("dcn_worker"), "--data", data,
                                        "--output", output};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const auto run = testing::RunCommand(arguments, std::chrono::seconds(600));
  EXPECT_EQ(run.exit_code, 0) << run.err;
  if (run.exit_code != 0) return "";
  return nlohmann::json::parse(ReadText(output / "result.json"))["parameter_digest"];
}

TEST(Experiment, GivesOneDigestForAnyThreadsAndShardsOnMovieLens100K) {
  DCN_REQUIRE_DATA("DCN_ML100K_DIR");
  const TemporaryFolder folder;
  const auto run = [&](const char* threads, const char* shards) {
    return Digest(
        data, folder.path(),
        {"--epochs", "8", "--train-fraction", "0.8", "--threads", threads, "--shards", shards});
  };
  const std::string expected = run("1", "1");
  EXPECT_EQ(run("2", "2"), expected);
  EXPECT_EQ(run("3", "5"), expected);
  EXPECT_EQ(run("4", "1"), expected);
}

TEST(Experiment, GivesOneDigestForAnyThreadsAndShardsOnMovieLens1M) {
  DCN_REQUIRE_DATA("DCN_ML1M_DIR");
  const TemporaryFolder folder;
  const auto run = [&](const char* threads, const char* shards, const char* model) {
    return Digest(
        data, folder.path() / model,
        {"--max-steps", "40", "--model", model, "--threads", threads, "--shards", shards});
  };
  for (const char* model : {"dcn", "dcn-lowrank", "dnn"}) {
    const std::string expected = run("1", "1", model);
    EXPECT_EQ(run("2", "5", model), expected) << model;
    EXPECT_EQ(run("4", "2", model), expected) << model;
  }
}

}  // namespace
}  // namespace dcn::launch
