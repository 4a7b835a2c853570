#include "launch/report/sweep_results.h"

#include <cmath>
#include <numeric>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "launch/sweep/run_plan.h"
#include "tests/launch/fixture_sweep.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::report {
namespace {

using ::testing::HasSubstr;

class SweepResultsTest : public ::testing::Test {
 protected:
  void SetUp() override { testing::WriteFixtureSweep(folder_.path(), {2, 1}); }

  Result<SweepResults> Read() const { return ReadSweepResults(folder_.path()); }

  std::filesystem::path Run(const std::string& variant, std::uint64_t seed) const {
    return sweep::RunFolder(folder_.path(), variant, seed);
  }

  const testing::TemporaryFolder folder_;
};

TEST_F(SweepResultsTest, HaveAllRunsInTheOrderOfVariantsAndSeeds) {
  const Result<SweepResults> results = Read();
  ASSERT_TRUE(results.ok()) << results.status().ToString();
  ASSERT_EQ(results->variants.size(), 3U);
  EXPECT_EQ(results->variants[0].name, "full");
  EXPECT_EQ(results->variants[1].name, "stacked");
  EXPECT_EQ(results->planned_runs, 6U);
  EXPECT_EQ(results->finished_runs(), 6U);
  EXPECT_EQ(results->variants[2].runs.at(0).seed, 1U);
  EXPECT_EQ(results->variants[2].runs.at(1), testing::FixtureResult("deep", 2));
  EXPECT_EQ(results->variants[0].features, testing::FixtureFeatures());
  EXPECT_EQ(results->finished, "2025-03-01T12:34:56Z");
}

// Norms straight from the fixture's tensors, in another order of loops than block_norms.cc.
TEST_F(SweepResultsTest, MapEveryCrossLayerFromItsExportedKernel) {
  const Result<SweepResults> results = Read();
  ASSERT_TRUE(results.ok()) << results.status().ToString();
  const std::vector<std::size_t>& widths = testing::FixtureWidths();
  const std::size_t width = std::accumulate(widths.begin(), widths.end(), std::size_t{0});
  const auto norms = [&](const std::vector<testing::FixtureTensor>& model, std::size_t layer) {
    const auto find = [&](const std::string& name) {
      for (const testing::FixtureTensor& tensor : model) {
        if (tensor.name == name) return tensor.values;
      }
      return std::vector<float>();
    };
    const std::string prefix = "cross/" + std::to_string(layer) + "/kernel";
    const std::vector<float> full = find(prefix);
    const std::vector<float> u = find(prefix + "_u");
    const std::vector<float> v = find(prefix + "_v");
    std::vector<double> squares(widths.size() * widths.size());
    for (std::size_t column = 0; column < width; ++column) {
      for (std::size_t row = 0; row < width; ++row) {
        double value = 0;
        if (full.empty()) {
          for (std::size_t k = 0; k < 3; ++k)
            value += double{u[row * 3 + k]} * v[k * width + column];
        } else {
          value = full[row * width + column];
        }
        std::size_t i = 0;
        for (std::size_t end = widths[0]; row >= end; end += widths[++i]) {
        }
        std::size_t j = 0;
        for (std::size_t end = widths[0]; column >= end; end += widths[++j]) {
        }
        squares[i * widths.size() + j] += value * value;
      }
    }
    return squares;
  };
  struct Layer {
    std::size_t variant;
    std::size_t layer;
    std::size_t rank;
  };
  for (const auto& [variant, layer, rank] : {Layer{0, 0, 0}, Layer{1, 0, 3}, Layer{1, 1, 0}}) {
    const std::string name = results->variants[variant].name;
    const CrossLayerMap& map = results->variants[variant].cross_layers.at(layer);
    EXPECT_EQ(map.layer, layer);
    EXPECT_EQ(map.projection_dimension, rank);
    const std::vector<double> first = norms(testing::FixtureModel(name, 1), layer);
    const std::vector<double> second = norms(testing::FixtureModel(name, 2), layer);
    for (std::size_t k = 0; k < first.size(); ++k) {
      const double a = std::sqrt(first[k]);
      const double b = std::sqrt(second[k]);
      EXPECT_NEAR(map.statistics.mean.values[k], (a + b) / 2, 1e-6 * (a + b));
      EXPECT_NEAR(map.statistics.standard_deviation.values[k], std::abs(a - b) / 2, 1e-6 * (a + b));
    }
  }
  EXPECT_EQ(results->variants[0].cross_layers.size(), 1U);
  EXPECT_EQ(results->variants[1].cross_layers.size(), 2U);
  EXPECT_TRUE(results->variants[2].cross_layers.empty());
}

TEST_F(SweepResultsTest, LeaveOutWhatIsNotFinished) {
  std::filesystem::remove(Run("full", 1) / "result.json");
  std::filesystem::remove_all(Run("deep", 1));
  std::filesystem::remove_all(Run("deep", 2));
  std::filesystem::remove(folder_.path() / "journal.jsonl");
  const Result<SweepResults> results = Read();
  ASSERT_TRUE(results.ok()) << results.status().ToString();
  EXPECT_EQ(results->finished_runs(), 3U);
  EXPECT_EQ(results->planned_runs, 6U);
  ASSERT_EQ(results->variants.size(), 3U);
  EXPECT_TRUE(results->variants[2].runs.empty());
  EXPECT_EQ(results->finished, "");
}

TEST_F(SweepResultsTest, NameAFolderThatIsNoSweep) {
  const Result<SweepResults> results = ReadSweepResults(folder_.path() / "absent");
  ASSERT_FALSE(results.ok());
  EXPECT_EQ(results.status().code(), StatusCode::kNotFound);
  EXPECT_THAT(results.status().message(), HasSubstr("absent"));
}

TEST_F(SweepResultsTest, NameAModelThatIsMissingOrDoesNotFit) {
  const std::filesystem::path run = Run("full", 2);
  const auto expect = [&](StatusCode code, const char* part) {
    const Result<SweepResults> results = Read();
    ASSERT_FALSE(results.ok()) << part;
    EXPECT_EQ(results.status().code(), code) << results.status().message();
    EXPECT_THAT(results.status().message(), HasSubstr(run.string()));
    EXPECT_THAT(results.status().message(), HasSubstr(part));
    EXPECT_THAT(results.status().message(),
                HasSubstr("; remove the folder " + run.string() + " and run dcn_sweep again"));
  };
  std::filesystem::remove(run / "model.safetensors");
  expect(StatusCode::kNotFound, "model.safetensors");
  testing::WriteText(run / "model.safetensors", "garbage");
  expect(StatusCode::kDataLoss, "model.safetensors");

  std::vector<testing::FixtureTensor> model = testing::FixtureModel("full", 2);
  model[0].shape = {model[0].values.size()};
  testing::WriteFixtureModel(model, run);
  expect(StatusCode::kDataLoss, "embedding/movie_id: shape is [24], expected [rows, dimension]");

  model = testing::FixtureModel("full", 2);
  model.erase(model.begin());
  testing::WriteFixtureModel(model, run);
  expect(StatusCode::kDataLoss, "cross/0/kernel: shape is [30, 30], expected [22, 22]");

  testing::WriteFixtureModel({model.back()}, run);
  expect(StatusCode::kDataLoss, "no tensor embedding/<feature>");

  testing::WriteFixtureModel(testing::FixtureModel("stacked", 2), run);
  expect(StatusCode::kDataLoss, "differ from those of the variant's other runs");
}

TEST_F(SweepResultsTest, NameAResultThatDoesNotRead) {
  testing::WriteText(Run("full", 1) / "result.json", "{}");
  const Result<SweepResults> results = Read();
  ASSERT_FALSE(results.ok());
  EXPECT_EQ(results.status().code(), StatusCode::kDataLoss);
  EXPECT_THAT(results.status().message(), HasSubstr((Run("full", 1) / "result.json").string()));
  EXPECT_THAT(
      results.status().message(),
      HasSubstr("; remove the folder " + Run("full", 1).string() + " and run dcn_sweep again"));
}

}  // namespace
}  // namespace dcn::report
