#include "ps/server/step_barrier.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/check.h"
#include "common/random.h"
#include "tests/ps/float_bits.h"
#include "tests/ps/push_parts.h"
#include "tests/ps/slow_table.h"

namespace dcn::ps {
namespace {

using testing::Bits;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::PushParts;
using testing::SlowTreeValue;
using testing::TreeParts;

const std::vector<TableDefinition> kTables = {
    {"a", 3, {}, SgdOptions{}}, {"b", 1, {}, SgdOptions{}}, {"c", 32, {}, SgdOptions{}}};
constexpr float kRate = 0.01F;

// One step's gradients by leaf; the parts of each rank; and the sums by the tree's definition.
struct StepParts {
  std::vector<PushParts> ranks;
  std::map<std::pair<TableId, Key>, std::vector<float>> sums;
};

// Every rank sends the nodes it would send in training; a node's value is the tree's over its
// leaves. `leaves`: of a full batch; those from `existing` on are absent, as in a short batch.
StepParts MakeStep(std::uint32_t ranks, std::uint32_t leaves, std::uint32_t existing, Step step,
                   bool sorted) {
  const RandomStream random(step, ranks);
  StepParts parts;
  std::map<std::pair<TableId, Key>, TreeParts> by_leaf;
  std::uint64_t word = 0;
  for (TableId table = 0; table < kTables.size(); ++table) {
    for (Key key = 0; key < 40; ++key) {
      for (std::uint32_t leaf = 0; leaf < existing; ++leaf) {
        if (random.Uniform(word++) > 0.3) continue;
        std::vector<float> values(kTables[table].dimension);
        RandomStream(step, 1000 + word).FillUniform(word % 3 == 0 ? 100.0F : 1.0F, 0, values);
        by_leaf[{table, key * key}][{0, leaf}] = values;
      }
    }
  }
  for (const auto& [row, tree] : by_leaf) parts.sums[row] = *SlowTreeValue(tree, 7, 0);
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    const auto nodes = RankNodes(rank, ranks, leaves);
    PushParts part(rank, step, kRate, nodes);
    std::vector<std::tuple<TableId, Key, TreeNode, std::vector<float>>> entries;
    for (const auto& [row, tree] : by_leaf) {
      for (const TreeNode& node : nodes) {
        const auto value = SlowTreeValue(tree, node.level, node.index);
        if (value) entries.emplace_back(row.first, row.second, node, *value);
      }
    }
    if (!sorted) std::ranges::reverse(entries);
    for (const auto& [table, key, node, value] : entries) part.Add(table, key, node, value);
    parts.ranks.push_back(std::move(part));
  }
  return parts;
}

void ExpectSums(std::span<const SummedGradients> taken, const StepParts& parts,
                const std::string& what) {
  std::size_t rows = 0;
  for (const SummedGradients& gradients : taken) {
    const std::size_t dimension = kTables[gradients.table].dimension;
    ASSERT_EQ(gradients.values.size(), gradients.keys.size() * dimension);
    EXPECT_TRUE(std::ranges::is_sorted(gradients.keys)) << what;
    for (std::size_t i = 0; i < gradients.keys.size(); ++i) {
      const auto expected = parts.sums.find({gradients.table, gradients.keys[i]});
      ASSERT_NE(expected, parts.sums.end()) << what;
      EXPECT_EQ(Bits(gradients.values.subspan(i * dimension, dimension)), Bits(expected->second))
          << what << ", table " << gradients.table << ", key " << gradients.keys[i];
    }
    rows += gradients.keys.size();
  }
  EXPECT_EQ(rows, parts.sums.size()) << what;
}

TEST(StepBarrierTest, SumsFollowTheTreeInAnyOrderOfArrival) {
  for (const std::uint32_t ranks : {1U, 2U, 3U, 4U, 7U}) {
    StepBarrier barrier(ranks, 1);
    Step step = 0;
    for (const std::uint32_t leaves : {1U, 5U, 16U, 33U}) {
      for (const std::uint32_t existing : {0U, 1U, 3U, leaves}) {
        if (existing > leaves) continue;
        for (const bool sorted : {true, false}) {
          ++step;
          StepParts parts = MakeStep(ranks, leaves, existing, step, sorted);
          std::vector<std::uint32_t> order(ranks);
          for (std::uint32_t rank = 0; rank < ranks; ++rank) order[rank] = rank;
          Shuffle(RandomStream(7, step), order);
          for (const std::uint32_t rank : order) {
            EXPECT_FALSE(barrier.is_complete());
            ASSERT_TRUE(barrier.Add(parts.ranks[rank].Request(), kTables).ok());
            if (rank != order.back()) parts.ranks[rank].Spoil();  // only the last is borrowed
          }
          ASSERT_TRUE(barrier.is_complete());
          EXPECT_EQ(barrier.learning_rate(), kRate);
          ExpectSums(barrier.Take(), parts,
                     fmt::format("{} ranks, {} of {} leaves", ranks, existing, leaves));
          EXPECT_EQ(barrier.current_step(), step + 1);
          EXPECT_FALSE(barrier.is_complete());
        }
      }
    }
  }
}

TEST(StepBarrierTest, ALoneRankWithOneEntryARowIsNotCopied) {
  StepBarrier barrier(1, 1);
  PushParts part(0, 1, kRate, {{4, 0}});
  part.Add(0, 3, {4, 0}, std::vector<float>{1, 2, 3});
  part.Add(0, 5, {4, 0}, std::vector<float>{4, 5, 6});
  const PushRequest request = part.Request();
  ASSERT_TRUE(barrier.Add(request, kTables).ok());
  const auto taken = barrier.Take();
  ASSERT_EQ(taken.size(), 1U);
  EXPECT_EQ(taken[0].keys.data(), request.gradients[0].keys.data());
  EXPECT_EQ(taken[0].values.data(), request.gradients[0].values.data());
}

TEST(StepBarrierTest, RanksWithoutGradientsCompleteTheStepToo) {
  StepBarrier barrier(3, 5);
  EXPECT_EQ(barrier.current_step(), 5U);
  EXPECT_THAT(barrier.MissingRanks(), ElementsAre(0, 1, 2));
  ASSERT_TRUE(barrier.Add(PushParts(1, 5, kRate, {}).Request(), kTables).ok());
  EXPECT_THAT(barrier.MissingRanks(), ElementsAre(0, 2));
  ASSERT_TRUE(barrier.Add(PushParts(0, 5, kRate, {}).Request(), kTables).ok());
  ASSERT_TRUE(barrier.Add(PushParts(2, 5, kRate, {}).Request(), kTables).ok());
  EXPECT_TRUE(barrier.MissingRanks().empty());
  EXPECT_TRUE(barrier.Take().empty());
  EXPECT_EQ(barrier.current_step(), 6U);
  EXPECT_THAT(barrier.MissingRanks(), ElementsAre(0, 1, 2));
}

// Refused parts leave no trace: the step still sums to what the accepted ones say.
TEST(StepBarrierTest, RefusesPartsThatDoNotFitAndKeepsNothingOfThem) {
  StepBarrier barrier(2, 1);
  const auto refuse = [&](PushParts part, StatusCode code, const std::string& message) {
    const Status status = barrier.Add(part.Request(), kTables);
    EXPECT_EQ(status.code(), code) << message;
    EXPECT_THAT(status.message(), HasSubstr(message));
    EXPECT_EQ(barrier.current_step(), 1U);
  };
  const std::vector<float> one = {1, 1, 1};
  const auto twice = [&](std::uint32_t rank, TreeNode node) {
    PushParts part(rank, 1, kRate, {node});
    for (const Key key : {Key{1}, Key{2}, Key{1}}) part.Add(0, key, node, one);
    return part;
  };
  refuse(PushParts(2, 1, kRate, {}), StatusCode::kInvalidArgument, "rank 2, step 1: there are 2");
  refuse(PushParts(0, 0, kRate, {}), StatusCode::kOutOfRange, "step 0 where step 1 is next");
  refuse(PushParts(0, 2, kRate, {}), StatusCode::kOutOfRange, "step 2 where step 1 is next");
  refuse(twice(0, {0, 0}), StatusCode::kInvalidArgument, "'a', key 1 stands twice");

  PushParts first(0, 1, kRate, {{0, 0}});
  first.Add(0, 1, {0, 0}, one);
  ASSERT_TRUE(barrier.Add(first.Request(), kTables).ok());
  refuse(first, StatusCode::kAlreadyExists, "rank 0, step 1: it has pushed this step");
  refuse(PushParts(1, 1, 0.02F, {}), StatusCode::kInvalidArgument, "learning rate 0.02");
  refuse(PushParts(1, 1, kRate, {{1, 0}}), StatusCode::kInvalidArgument,
         "tree node (1, 0) overlaps (0, 0) of rank 0");
  refuse(twice(1, {0, 1}), StatusCode::kInvalidArgument, "key 1 stands twice at tree node (0, 1)");

  PushParts second(1, 1, kRate, {{0, 1}});
  second.Add(0, 7, {0, 1}, one);
  ASSERT_TRUE(barrier.Add(second.Request(), kTables).ok());
  const auto taken = barrier.Take();
  ASSERT_EQ(taken.size(), 1U);
  EXPECT_THAT(taken[0].keys, ElementsAre(1, 7));
  EXPECT_THAT(taken[0].values, ElementsAre(1, 1, 1, 1, 1, 1));
}

TEST(StepBarrierTest, ALoneRanksRefusedPartLeavesNoTrace) {
  StepBarrier barrier(1, 1);
  PushParts bad(0, 1, kRate, {{0, 0}});
  bad.Add(0, 1, {0, 0}, std::vector<float>{1, 1, 1});
  bad.Add(1, 4, {0, 0}, std::vector<float>{1});
  bad.Add(1, 4, {0, 0}, std::vector<float>{1});
  EXPECT_EQ(barrier.Add(bad.Request(), kTables).code(), StatusCode::kInvalidArgument);
  EXPECT_FALSE(barrier.is_complete());
  PushParts good(0, 1, kRate, {{0, 0}});
  good.Add(2, 9, {0, 0}, std::vector<float>(32, 2.0F));
  ASSERT_TRUE(barrier.Add(good.Request(), kTables).ok());
  const auto taken = barrier.Take();
  ASSERT_EQ(taken.size(), 1U);
  EXPECT_EQ(taken[0].table, 2U);
}

TEST(StepBarrierTest, TakingAnIncompleteStepIsABug) {
  StepBarrier barrier(2, 1);
  EXPECT_THROW(barrier.Take(), CheckError);
  EXPECT_THROW(StepBarrier(0, 1), CheckError);
}

}  // namespace
}  // namespace dcn::ps
