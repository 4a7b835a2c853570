#include "ps/server/request_check.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dcn::ps {
namespace {

using ::testing::HasSubstr;

const std::vector<TableDefinition> kTables = {{"a", 2, {}, SgdOptions{}},
                                              {"b", 3, {}, SgdOptions{}}};
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// A push of rank 4, step 9 into both tables, to be spoilt.
struct Push {
  float learning_rate = 0.1F;
  std::vector<TreeNode> nodes = {{1, 0}, {0, 2}};
  std::vector<Key> keys = {5, 6};
  std::vector<std::uint16_t> numbers = {0, 1};
  std::vector<float> a_values = {1, 2, 3, 4};
  std::vector<float> b_values = {1, 2, 3, 4, 5, 6};
  TableId first_table = 0;
  TableId second_table = 1;

  Status Check() const {
    const std::vector<RowGradients> gradients = {
        {.table = first_table, .keys = keys, .nodes = numbers, .values = a_values},
        {.table = second_table, .keys = keys, .nodes = numbers, .values = b_values}};
    return CheckPush({.rank = 4,
                      .step = 9,
                      .learning_rate = learning_rate,
                      .nodes = nodes,
                      .gradients = gradients},
                     kTables);
  }
};

TEST(RequestCheckTest, AcceptsAPushThatFits) {
  EXPECT_TRUE(Push{}.Check().ok());
  Push zero_rate;
  zero_rate.learning_rate = 0;
  EXPECT_TRUE(zero_rate.Check().ok());
  EXPECT_TRUE(CheckPush({}, kTables).ok());
  EXPECT_TRUE(CheckPush({}, {}).ok());
  const std::vector<TreeNode> widest = {{31, 0}};
  EXPECT_TRUE(CheckPush({.nodes = widest, .gradients = {}}, kTables).ok());
  // Numbers that only look wrong: the largest float, a denormal, both zeros.
  Push wild;
  wild.a_values = {std::numeric_limits<float>::max(), -std::numeric_limits<float>::max(), 1e-45F,
                   -0.0F};
  EXPECT_TRUE(wild.Check().ok());
}

TEST(RequestCheckTest, RefusesAPushThatDoesNotFit) {
  struct Case {
    std::string message;
    StatusCode code;
    std::function<void(Push&)> spoil;
  };
  const StatusCode invalid = StatusCode::kInvalidArgument;
  const std::vector<Case> cases = {
      {"learning rate is nan", invalid, [](Push& p) { p.learning_rate = kNan; }},
      {"learning rate is inf", invalid, [](Push& p) { p.learning_rate = kInfinity; }},
      {"learning rate is -0.1", invalid, [](Push& p) { p.learning_rate = -0.1F; }},
      {"learning rate is -0", invalid, [](Push& p) { p.learning_rate = -0.0F; }},
      {"table 2 does not exist: 2 tables", StatusCode::kOutOfRange,
       [](Push& p) { p.second_table = 2; }},
      {"table 'a' stands twice", invalid,
       [](Push& p) {
         p.second_table = 0;
         p.b_values = p.a_values;
       }},
      {"'a': 3 values for 2 keys, must be keys x dimension 2", invalid,
       [](Push& p) { p.a_values.pop_back(); }},
      {"'b': 9 values for 2 keys", invalid, [](Push& p) { p.b_values.resize(9); }},
      {"'a': 1 tree nodes for 2 keys", invalid, [](Push& p) { p.numbers.pop_back(); }},
      {"'a', key 6: tree node number 2 of a list of 2", invalid, [](Push& p) { p.numbers[1] = 2; }},
      {"'b', key 6: the gradient of lane 1 is nan, not finite: the training diverges; a smaller "
       "--learning-rate may help",
       invalid, [](Push& p) { p.b_values[4] = kNan; }},
      {"'a', key 5: the gradient of lane 0 is -inf", invalid,
       [](Push& p) { p.a_values[0] = -kInfinity; }},
      {"tree node (0, 1) starts at leaf 1, before the end of the one before it, 2", invalid,
       [](Push& p) {
         p.nodes[1] = {0, 1};
       }},
      {"tree node (32, 0) ends above", invalid,
       [](Push& p) {
         p.nodes[1] = {32, 0};
       }},
      {"tree node (4294967295, 0) ends above", invalid,
       [](Push& p) {
         p.nodes[1] = {0xffffffff, 0};
       }},
      {"tree node (31, 1) ends above", invalid,
       [](Push& p) {
         p.nodes[1] = {31, 1};
       }},
      {"tree node (0, 4294967295) ends above", invalid,
       [](Push& p) {
         p.nodes[1] = {0, 0xffffffff};
       }},
  };
  for (const Case& c : cases) {
    Push push;
    c.spoil(push);
    const Status status = push.Check();
    EXPECT_EQ(status.code(), c.code) << c.message;
    EXPECT_THAT(status.message(), HasSubstr(c.message));
    EXPECT_THAT(status.message(), HasSubstr("push of rank 4, step 9: "));
  }
}

// Wherever in a long row of values the bad one stands.
TEST(RequestCheckTest, FindsANonFiniteValueAnywhere) {
  std::vector<Key> keys(40);
  for (Key key = 0; key < 40; ++key) keys[key] = 100 + key;
  for (std::size_t place = 0; place < 80; ++place) {
    std::vector<float> values(80, 1.0F);
    values[place] = place % 2 == 0 ? kNan : kInfinity;
    const Status status = CheckAssign(0, keys, values, kTables);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(status.message(),
                HasSubstr(fmt::format("table 'a', key {}: the value of lane {} is", 100 + place / 2,
                                      place % 2)));
  }
}

TEST(RequestCheckTest, PullsAndAssignmentsMustFit) {
  const std::vector<Key> keys = {1, 2};
  std::vector<float> values(6);
  const auto pull = [&](TableId table, std::size_t size) {
    const std::vector<RowsToPull> rows = {
        {.table = table, .keys = keys, .values = std::span(values).first(size)}};
    return CheckPull(rows, kTables);
  };
  EXPECT_TRUE(pull(0, 4).ok());
  EXPECT_TRUE(pull(1, 6).ok());
  EXPECT_TRUE(CheckPull({}, kTables).ok());
  EXPECT_EQ(pull(2, 4).code(), StatusCode::kOutOfRange);
  EXPECT_EQ(pull(0, 5).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(pull(0, 6).code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(CheckAssign(1, keys, values, kTables).ok());
  EXPECT_EQ(CheckAssign(0, keys, values, kTables).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(CheckAssign(7, keys, values, kTables).code(), StatusCode::kOutOfRange);
}

}  // namespace
}  // namespace dcn::ps
