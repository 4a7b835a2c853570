#include "ps/table/table_definition.h"

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dcn::ps {
namespace {

using ::testing::HasSubstr;

TableDefinition Valid() { return {"embedding/a", 32, {.seed = 1, .limit = 0.05F}, AdamOptions{}}; }

TEST(TableDefinitionTest, NamesAndStatesByOptimizer) {
  EXPECT_EQ(OptimizerName(AdamOptions{}), "adam");
  EXPECT_EQ(OptimizerName(LazyAdamOptions{}), "lazy-adam");
  EXPECT_EQ(OptimizerName(AdagradOptions{}), "adagrad");
  EXPECT_EQ(OptimizerName(SgdOptions{}), "sgd");
  EXPECT_EQ(StateCount(AdamOptions{}), 2U);
  EXPECT_EQ(StateCount(LazyAdamOptions{}), 2U);
  EXPECT_EQ(StateCount(AdagradOptions{}), 1U);
  EXPECT_EQ(StateCount(SgdOptions{}), 0U);
}

TEST(TableDefinitionTest, AcceptsTheEdgesOfEveryRange) {
  TableDefinition table = Valid();
  EXPECT_TRUE(ValidateTable(table).ok());
  table.dimension = 1;
  table.initializer.limit = 0;
  table.optimizer = AdamOptions{.beta_1 = 0, .beta_2 = 0, .epsilon = 1e-37F};
  EXPECT_TRUE(ValidateTable(table).ok());
  table.dimension = kMaxDimension;
  table.optimizer = AdagradOptions{.initial_accumulator = 0, .epsilon = 1};
  EXPECT_TRUE(ValidateTable(table).ok());
}

TEST(TableDefinitionTest, RefusesWhatIsOutOfRange) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  struct Case {
    std::string message;
    std::function<void(TableDefinition&)> spoil;
  };
  const std::vector<Case> cases = {
      {"no name", [](auto& t) { t.name.clear(); }},
      {"dimension is 0", [](auto& t) { t.dimension = 0; }},
      {"dimension is 65537", [](auto& t) { t.dimension = kMaxDimension + 1; }},
      {"limit is -0.1", [](auto& t) { t.initializer.limit = -0.1F; }},
      {"limit is inf", [&](auto& t) { t.initializer.limit = infinity; }},
      {"beta_1 is 1", [](auto& t) { t.optimizer = AdamOptions{.beta_1 = 1}; }},
      {"beta_1 is -0.5", [](auto& t) { t.optimizer = AdamOptions{.beta_1 = -0.5F}; }},
      {"beta_2 is nan", [&](auto& t) { t.optimizer = LazyAdamOptions{.beta_2 = nan}; }},
      {"epsilon is 0", [](auto& t) { t.optimizer = AdamOptions{.epsilon = 0}; }},
      {"epsilon is 1e-40", [](auto& t) { t.optimizer = LazyAdamOptions{.epsilon = 1e-40F}; }},
      {"epsilon is -1", [](auto& t) { t.optimizer = AdagradOptions{.epsilon = -1}; }},
      {"initial_accumulator is -1",
       [](auto& t) { t.optimizer = AdagradOptions{.initial_accumulator = -1}; }},
  };
  for (const Case& c : cases) {
    TableDefinition table = Valid();
    c.spoil(table);
    const Status status = ValidateTable(table);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << c.message;
    EXPECT_THAT(status.message(), HasSubstr(c.message));
  }
}

TEST(TableDefinitionTest, NamesTheFieldThatDiffers) {
  EXPECT_FALSE(FirstDifference(Valid(), Valid()).has_value());
  struct Case {
    std::string difference;
    std::function<void(TableDefinition&)> change;
  };
  const std::vector<Case> cases = {
      {"name: b, not embedding/a", [](auto& t) { t.name = std::string("b"); }},
      {"dimension: 16, not 32", [](auto& t) { t.dimension = 16; }},
      {"initializer seed: 2, not 1", [](auto& t) { t.initializer.seed = 2; }},
      {"initializer limit: 0.5, not 0.05", [](auto& t) { t.initializer.limit = 0.5F; }},
      {"optimizer: sgd, not adam", [](auto& t) { t.optimizer = SgdOptions{}; }},
      {"beta_1: 0.5, not 0.9", [](auto& t) { t.optimizer = AdamOptions{.beta_1 = 0.5F}; }},
      {"beta_2: 0.5, not 0.999", [](auto& t) { t.optimizer = AdamOptions{.beta_2 = 0.5F}; }},
      {"epsilon: 0.5, not 1e-07", [](auto& t) { t.optimizer = AdamOptions{.epsilon = 0.5F}; }},
  };
  for (const Case& c : cases) {
    TableDefinition table = Valid();
    c.change(table);
    EXPECT_EQ(FirstDifference(table, Valid()), c.difference);
  }
  TableDefinition lazy = Valid();
  lazy.optimizer = LazyAdamOptions{};
  TableDefinition other = lazy;
  other.optimizer = LazyAdamOptions{.epsilon = 0.5F};
  EXPECT_EQ(FirstDifference(other, lazy), "epsilon: 0.5, not 1e-07");
  TableDefinition adagrad = Valid();
  adagrad.optimizer = AdagradOptions{};
  other.optimizer = AdagradOptions{.initial_accumulator = 0.5F};
  EXPECT_EQ(FirstDifference(other, adagrad), "initial_accumulator: 0.5, not 0.1");
}

}  // namespace
}  // namespace dcn::ps
