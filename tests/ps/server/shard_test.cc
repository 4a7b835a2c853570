#include "ps/server/shard.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/ps/float_bits.h"
#include "tests/ps/push_parts.h"
#include "tests/ps/slow_table.h"

namespace dcn::ps {
namespace {

using testing::Bits;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::PushParts;
using testing::SlowTable;

const std::vector<TableDefinition> kTables = {{"a", 2, {.seed = 1}, AdamOptions{}},
                                              {"b", 1, {.seed = 1}, SgdOptions{}}};

std::vector<float> Pull(Shard& shard, TableId table, const std::vector<Key>& keys) {
  std::vector<float> values(keys.size() * kTables[table].dimension);
  const std::vector<RowsToPull> pull = {{.table = table, .keys = keys, .values = values}};
  const Status status = shard.Pull(pull);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return values;
}

PushParts Part(std::uint32_t rank, Step step, float a, float b) {
  const TreeNode node{0, rank};
  PushParts part(rank, step, 0.1F, {node});
  part.Add(0, 3, node, std::vector<float>{a, -a});
  part.Add(1, 8, node, std::vector<float>{b});
  return part;
}

TEST(ShardTest, AppliesAStepOnceAllRanksHavePushed) {
  Shard shard(2);
  ASSERT_TRUE(shard.CreateTables(kTables).ok());
  SlowTable a(kTables[0]);
  SlowTable b(kTables[1]);
  for (Step step = 1; step <= 3; ++step) {
    const auto before = Pull(shard, 0, {3, 4});
    PushParts second = Part(1, step, 0.5F, 2.0F);
    ASSERT_TRUE(shard.Push(second.Request()).ok());
    second.Spoil();
    EXPECT_EQ(shard.current_step(), step - 1);
    EXPECT_THAT(shard.MissingRanks(), ElementsAre(0));
    EXPECT_EQ(Bits(Pull(shard, 0, {3, 4})), Bits(before));
    ASSERT_TRUE(shard.Push(Part(0, step, 0.25F, 1.0F).Request()).ok());
    EXPECT_EQ(shard.current_step(), step);
    a.ApplyStep(0.1F, {{3, {0.75F, -0.75F}}});
    b.ApplyStep(0.1F, {{8, {3.0F}}});
    EXPECT_EQ(Bits(Pull(shard, 0, {3})), Bits(a.At(3).w));
    EXPECT_EQ(Bits(Pull(shard, 1, {8, 9})), Bits(std::vector{b.At(8).w[0], b.At(9).w[0]}));
  }
}

TEST(ShardTest, AStepWithoutGradientsMovesRowsOfDenseAdam) {
  Shard shard;
  ASSERT_TRUE(shard.CreateTables(kTables).ok());
  ASSERT_TRUE(shard.Push(Part(0, 1, 1.0F, 1.0F).Request()).ok());
  const auto a = Pull(shard, 0, {3});
  const auto b = Pull(shard, 1, {8});
  ASSERT_TRUE(shard.Push(PushParts(0, 2, 0.1F, {}).Request()).ok());
  EXPECT_EQ(shard.current_step(), 2U);
  EXPECT_NE(Pull(shard, 0, {3}), a);
  EXPECT_EQ(Pull(shard, 1, {8}), b);
}

TEST(ShardTest, CreatingTheSameTablesAgainChangesNothing) {
  Shard shard;
  ASSERT_TRUE(shard.CreateTables(kTables).ok());
  ASSERT_TRUE(shard.Push(Part(0, 1, 1.0F, 1.0F).Request()).ok());
  const auto rows = Pull(shard, 0, {3});
  EXPECT_TRUE(shard.CreateTables(kTables).ok());
  EXPECT_EQ(Pull(shard, 0, {3}), rows);
  EXPECT_EQ(shard.current_step(), 1U);
}

TEST(ShardTest, RefusesOtherTablesAndNamesTheDifference) {
  Shard shard;
  ASSERT_TRUE(shard.CreateTables(kTables).ok());
  const auto refuse = [&](const std::vector<TableDefinition>& tables, const std::string& message) {
    const Status status = shard.CreateTables(tables);
    EXPECT_EQ(status.code(), StatusCode::kAlreadyExists);
    EXPECT_THAT(status.message(), HasSubstr(message));
    EXPECT_EQ(shard.tables().size(), 2U);
  };
  auto tables = kTables;
  tables[1].dimension = 4;
  refuse(tables, "table 'b' exists with another definition (dimension: 4, not 1)");
  tables = kTables;
  tables[0].optimizer = LazyAdamOptions{};
  refuse(tables, "table 'a' exists with another definition (optimizer: lazy-adam, not adam)");
  tables = kTables;
  tables.pop_back();
  refuse(tables, "1 tables were given where 2 exist");
  refuse({}, "0 tables were given where 2 exist");
}

TEST(ShardTest, RefusesDefinitionsOutOfRangeAndCreatesNone) {
  Shard shard;
  auto tables = kTables;
  tables[1].dimension = 0;
  EXPECT_EQ(shard.CreateTables(tables).code(), StatusCode::kInvalidArgument);
  tables = {kTables[0], kTables[1], kTables[0]};
  const Status twice = shard.CreateTables(tables);
  EXPECT_EQ(twice.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(twice.message(), HasSubstr("table 'a' stands twice"));
  EXPECT_EQ(shard.tables().size(), 0U);
  EXPECT_TRUE(shard.CreateTables(kTables).ok());
}

TEST(ShardTest, NeedsTablesBeforeAnythingElse) {
  Shard shard;
  const Status status = shard.Push(PushParts(0, 1, 0.1F, {}).Request());
  EXPECT_EQ(status.code(), StatusCode::kOutOfRange);
  EXPECT_THAT(status.message(), HasSubstr("create them first"));
  std::vector<float> value(2);
  const std::vector<Key> keys = {1};
  const std::vector<RowsToPull> pull = {{.table = 0, .keys = keys, .values = value}};
  EXPECT_EQ(shard.Pull(pull).code(), StatusCode::kOutOfRange);
  EXPECT_EQ(shard.Assign(0, keys, value).code(), StatusCode::kOutOfRange);
  EXPECT_TRUE(shard.CreateTables({}).ok());  // a job without tables
  EXPECT_TRUE(shard.Push(PushParts(0, 1, 0.1F, {}).Request()).ok());
}

TEST(ShardTest, ARefusedPushChangesNothing) {
  Shard shard;
  ASSERT_TRUE(shard.CreateTables(kTables).ok());
  ASSERT_TRUE(shard.Push(Part(0, 1, 1.0F, 1.0F).Request()).ok());
  const auto rows = Pull(shard, 0, {3});
  const auto refuse = [&](PushParts part, StatusCode code) {
    EXPECT_EQ(shard.Push(part.Request()).code(), code);
    EXPECT_EQ(shard.current_step(), 1U);
    EXPECT_EQ(Pull(shard, 0, {3}), rows);
    EXPECT_EQ(shard.tables()[0].row_count(), 1U);
  };
  refuse(Part(0, 1, 1.0F, 1.0F), StatusCode::kOutOfRange);
  refuse(Part(0, 3, 1.0F, 1.0F), StatusCode::kOutOfRange);
  refuse(Part(0, std::numeric_limits<Step>::max(), 1.0F, 1.0F), StatusCode::kOutOfRange);
  refuse(Part(1, 2, 1.0F, 1.0F), StatusCode::kInvalidArgument);
  refuse(Part(0, 2, 1.0F, std::numeric_limits<float>::infinity()), StatusCode::kInvalidArgument);
  PushParts new_row_twice(0, 2, 0.1F, {{0, 0}});
  new_row_twice.Add(0, 77, {0, 0}, std::vector<float>{1, 1});
  new_row_twice.Add(0, 77, {0, 0}, std::vector<float>{1, 1});
  refuse(std::move(new_row_twice), StatusCode::kInvalidArgument);
  EXPECT_TRUE(shard.Push(Part(0, 2, 1.0F, 1.0F).Request()).ok());
}

TEST(ShardTest, AssignedRowsAreReadBack) {
  Shard shard;
  ASSERT_TRUE(shard.CreateTables(kTables).ok());
  const std::vector<Key> keys = {9, 1};
  const std::vector<float> values = {1, 2, 3, 4};
  ASSERT_TRUE(shard.Assign(0, keys, values).ok());
  EXPECT_EQ(Pull(shard, 0, {1, 9}), (std::vector<float>{3, 4, 1, 2}));
  const std::vector<float> bad = {1, 2, 3, std::numeric_limits<float>::quiet_NaN()};
  EXPECT_EQ(shard.Assign(0, keys, bad).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Pull(shard, 0, {9}), (std::vector<float>{1, 2}));
  EXPECT_GE(shard.memory_bytes(), 2 * 2 * 3 * sizeof(float));
}

#if defined(__SSE2__)
TEST(ShardTest, FlushesDenormalsOnTheThreadThatCalls) {
  _mm_setcsr(_mm_getcsr() & ~0x8040U);
  volatile float smallest = std::numeric_limits<float>::min();
  ASSERT_NE(smallest * 0.5F, 0.0F);
  Shard shard;
  ASSERT_TRUE(shard.CreateTables(kTables).ok());
  _mm_setcsr(_mm_getcsr() & ~0x8040U);
  ASSERT_TRUE(shard.Push(Part(0, 1, 1.0F, 1.0F).Request()).ok());
  EXPECT_EQ(smallest * 0.5F, 0.0F);
  _mm_setcsr(_mm_getcsr() & ~0x8040U);
  Pull(shard, 0, {3});
  EXPECT_EQ(smallest * 0.5F, 0.0F);
}
#endif

}  // namespace
}  // namespace dcn::ps
