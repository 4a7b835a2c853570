#include "worker/train/parameters.h"

#include <memory>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "common/random.h"
#include "ps/server/local_shard.h"
#include "ps/server/shard.h"
#include "tests/testing/small_training.h"

namespace dcn::train {
namespace {

class ParametersTest : public ::testing::TestWithParam<std::uint32_t> {  // shards
 protected:
  ParametersTest() {
    for (std::uint32_t s = 0; s < GetParam(); ++s) {
      owned_.push_back(std::make_unique<ps::Shard>());
      shards_.push_back(std::make_unique<ps::LocalShard>(*owned_.back()));
      EXPECT_TRUE(shards_.back()->CreateTables(TableDefinitions(spec_, 9, ps::AdamOptions{})).ok());
    }
  }

  const model::ModelSpec spec_ = testing::SmallModel(testing::SmallDataset(10, 1));
  std::vector<std::unique_ptr<ps::Shard>> owned_;
  Shards shards_;
};

TEST_P(ParametersTest, AssignedTablesAreReadBackInOrder) {
  std::vector<std::vector<float>> tables;
  for (std::size_t f = 0; f < spec_.features.size(); ++f) {
    const model::FeatureSpec& feature = spec_.features[f];
    tables.emplace_back(feature.rows * feature.dimension);
    RandomStream(4, f).FillUniform(1.0F, 0, tables.back());
    const Status status =
        AssignTable(shards_, static_cast<ps::TableId>(f), feature.dimension, tables.back());
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  const std::vector<float> dense(spec_.dense_size(), 0.5F);
  const auto parameters = Parameters::Read(spec_, shards_, dense);
  ASSERT_TRUE(parameters.ok()) << parameters.status().ToString();
  for (std::size_t f = 0; f < tables.size(); ++f) {
    const TensorView& tensor = parameters->tensors()[f];
    EXPECT_EQ(tensor.name, "embedding/" + spec_.features[f].name);
    EXPECT_EQ(tensor.shape,
              (std::vector<std::size_t>{spec_.features[f].rows, spec_.features[f].dimension}));
    EXPECT_TRUE(
        std::equal(tensor.values.begin(), tensor.values.end(), tables[f].begin(), tables[f].end()));
  }
}

// The tensors stay good when the dense vector that they were read from is gone.
TEST_P(ParametersTest, OwnTheirValues) {
  std::optional<std::vector<float>> dense(std::vector<float>(spec_.dense_size()));
  RandomStream(4, 77).FillUniform(1.0F, 0, *dense);
  const std::vector<float> expected = *dense;
  auto read = Parameters::Read(spec_, shards_, *dense);
  ASSERT_TRUE(read.ok());
  std::fill(dense->begin(), dense->end(), -1.0F);
  dense.reset();
  const Parameters moved = *std::move(read);
  std::vector<float> values;
  for (const TensorView& tensor : moved.tensors().subspan(spec_.features.size())) {
    values.insert(values.end(), tensor.values.begin(), tensor.values.end());
  }
  EXPECT_EQ(values, expected);
}

TEST_P(ParametersTest, AnUntouchedTableReadsAsItsFirstValues) {
  const std::vector<float> dense(spec_.dense_size());
  const auto once = Parameters::Read(spec_, shards_, dense);
  const auto again = Parameters::Read(spec_, shards_, dense);
  ASSERT_TRUE(once.ok() && again.ok());
  for (std::size_t f = 0; f < spec_.features.size(); ++f) {
    const auto a = once->tensors()[f].values;
    const auto b = again->tensors()[f].values;
    EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end()));
    for (const float value : a) {
      EXPECT_GE(value, -0.05F);
      EXPECT_LT(value, 0.05F);
    }
  }
  for (const auto& shard : owned_) {
    for (const auto& table : shard->tables()) EXPECT_EQ(table.row_count(), 0U);
  }
}

INSTANTIATE_TEST_SUITE_P(Shards, ParametersTest, ::testing::Values(1U, 2U, 5U));

}  // namespace
}  // namespace dcn::train
