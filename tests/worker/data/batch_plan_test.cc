// Plans against the obvious way to make one: maps that are filled rating by rating.
#include "worker/data/batch_plan.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "common/check.h"
#include "common/random.h"
#include "ps/partition.h"

namespace dcn::data {
namespace {

// Tables of a few rows, of many and of one; rows of one float, of four and of three.
TableLayout MakeLayout(std::uint32_t shards) {
  return {.dimensions = {1, 4, 3}, .rows = {3, 50, 1}, .shard_count = shards};
}

struct Ratings {
  std::vector<std::uint32_t> ids;
  std::vector<float> labels;
};

Ratings DrawRatings(const TableLayout& layout, std::size_t rows, std::uint64_t seed) {
  const RandomStream random(seed, 1);
  Ratings ratings;
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t f = 0; f < layout.feature_count(); ++f) {
      ratings.ids.push_back(
          static_cast<std::uint32_t>(random.Word(ratings.ids.size()) % layout.rows[f]));
    }
    ratings.labels.push_back(static_cast<float>(i));
  }
  return ratings;
}

// (shard, table, key) and (shard, table, key, node), with the rows that name them.
using EntryId = std::tuple<std::uint32_t, ps::TableId, ps::Key>;
using PushId = std::tuple<std::uint32_t, ps::TableId, ps::Key, std::uint16_t>;
using Rows = std::vector<std::uint32_t>;

struct ExpectedPlan {
  std::map<EntryId, Rows> entries;
  std::map<PushId, Rows> pushes;
};

ExpectedPlan PlanSlowly(const TableLayout& layout, const Ratings& ratings, const Rows& node_ends) {
  ExpectedPlan plan;
  for (std::uint32_t row = 0; row < ratings.labels.size(); ++row) {
    std::uint16_t node = 0;
    while (node < node_ends.size() && row >= node_ends[node]) ++node;
    for (std::uint32_t f = 0; f < layout.feature_count(); ++f) {
      const ps::Key key = ratings.ids[row * layout.feature_count() + f];
      const std::uint32_t shard = ps::ShardOf(f, key, layout.shard_count);
      plan.entries[{shard, f, key}].push_back(row);
      plan.pushes[{shard, f, key, node}].push_back(row);
    }
  }
  return plan;
}

Rows ToRows(std::span<const std::uint32_t> rows) { return {rows.begin(), rows.end()}; }

// Entries as expected, each at the place in the buffer of values that its ratings look at.
void ExpectEntries(const TableLayout& layout, const BatchPlan& plan, const ExpectedPlan& expected) {
  std::vector<std::pair<EntryId, Rows>> entries;
  std::size_t offset = 0;
  for (const Segment& segment : plan.segments()) {
    EXPECT_EQ(segment.first_entry, entries.size());
    EXPECT_EQ(segment.value_offset, offset);
    EXPECT_GT(segment.entry_count, 0U);
    for (std::size_t i = 0; i < segment.entry_count; ++i) {
      const std::size_t entry = segment.first_entry + i;
      entries.push_back(
          {{segment.shard, segment.table, plan.keys()[entry]}, ToRows(plan.occurrences(entry))});
      for (const std::uint32_t row : plan.occurrences(entry)) {
        EXPECT_EQ(plan.value_offsets(row)[segment.table], offset);
      }
      offset += layout.dimensions[segment.table];
    }
  }
  EXPECT_EQ(plan.keys().size(), entries.size());
  EXPECT_EQ(plan.value_count(), offset);
  const decltype(entries) all(expected.entries.begin(), expected.entries.end());
  EXPECT_EQ(entries, all);
}

void ExpectPushes(const TableLayout& layout, const BatchPlan& plan, const ExpectedPlan& expected) {
  std::vector<std::pair<PushId, Rows>> pushes;
  std::size_t offset = 0;
  for (const Segment& segment : plan.segments()) {
    EXPECT_EQ(segment.first_push, pushes.size());
    EXPECT_EQ(segment.push_offset, offset);
    for (std::size_t i = 0; i < segment.push_count; ++i) {
      const std::size_t push = segment.first_push + i;
      pushes.push_back(
          {{segment.shard, segment.table, plan.push_keys()[push], plan.push_nodes()[push]},
           ToRows(plan.push_occurrences(push))});
    }
    offset += segment.push_count * layout.dimensions[segment.table];
  }
  EXPECT_EQ(plan.push_keys().size(), pushes.size());
  EXPECT_EQ(plan.push_nodes().size(), pushes.size());
  EXPECT_EQ(plan.push_value_count(), offset);
  const decltype(pushes) all(expected.pushes.begin(), expected.pushes.end());
  EXPECT_EQ(pushes, all);
}

// Every push is in one unit of work, of its own segment.
void ExpectWork(const BatchPlan& plan) {
  std::vector<int> times(plan.push_nodes().size());
  for (const PushRange& range : plan.work()) {
    ASSERT_LT(range.segment, plan.segments().size());
    const Segment& segment = plan.segments()[range.segment];
    EXPECT_LT(range.begin, range.end);
    EXPECT_GE(range.begin, segment.first_push);
    EXPECT_LE(range.end, segment.first_push + segment.push_count);
    for (std::size_t push = range.begin; push < range.end; ++push) ++times[push];
  }
  EXPECT_EQ(times, std::vector<int>(times.size(), 1));
}

void ExpectSegmentsOfShards(const BatchPlan& plan, std::uint32_t shards) {
  std::size_t segments = 0;
  for (std::uint32_t shard = 0; shard < shards; ++shard) {
    for (const Segment& segment : plan.shard_segments(shard)) EXPECT_EQ(segment.shard, shard);
    segments += plan.shard_segments(shard).size();
  }
  EXPECT_EQ(segments, plan.segments().size());
}

void ExpectPlan(const TableLayout& layout, const BatchPlan& plan, const Ratings& ratings,
                const Rows& node_ends) {
  EXPECT_TRUE(std::ranges::equal(plan.labels(), ratings.labels));
  const ExpectedPlan expected = PlanSlowly(layout, ratings, node_ends);
  ExpectEntries(layout, plan, expected);
  ExpectPushes(layout, plan, expected);
  ExpectWork(plan);
  ExpectSegmentsOfShards(plan, layout.shard_count);
}

TEST(BatchPlanTest, EntriesPushesAndWorkAreThoseOfTheSlowPlan) {
  for (const std::uint32_t shards : {1U, 2U, 5U}) {
    TableLayout layout = MakeLayout(shards);
    layout.dimensions.push_back(2);
    layout.rows.push_back(20000);  // few of them occur in short batches, many in long ones
    BatchPlanner planner(layout);  // its scratch serves all sizes
    for (const std::uint32_t rows : {0U, 1U, 2U, 7U, 100U, 5000U}) {
      const Ratings ratings = DrawRatings(layout, rows, rows);
      for (const Rows& node_ends :
           {Rows{}, Rows{rows}, Rows{rows / 3, rows}, Rows{rows / 7, rows / 2, rows}}) {
        // Nodes without a row do not exist.
        if (std::ranges::adjacent_find(node_ends) != node_ends.end()) continue;
        if (node_ends.size() > 1 && node_ends[0] == 0) continue;
        SCOPED_TRACE(fmt::format("{} shards, {} rows, {} nodes", shards, rows, node_ends.size()));
        const BatchPlan plan = planner.Build(ratings.ids, ratings.labels,
                                             {.batch_rows = 9000, .node_ends = node_ends});
        EXPECT_EQ(plan.rows(), rows);
        EXPECT_EQ(plan.batch_rows(), 9000U);
        ExpectPlan(layout, plan, ratings, node_ends);
      }
    }
  }
}

TEST(BatchPlanTest, IsForTheWholeBatchUnlessToldOtherwise) {
  const TableLayout layout = MakeLayout(1);
  const Ratings ratings = DrawRatings(layout, 7, 1);
  EXPECT_EQ(BatchPlanner(layout).Build(ratings.ids, ratings.labels).batch_rows(), 7U);
}

TEST(BatchPlanTest, WorkIsCutAndTheLongestUnitsComeFirst) {
  const TableLayout layout = MakeLayout(1);
  const Ratings ratings = DrawRatings(layout, 5000, 2);
  const BatchPlan plan = BatchPlanner(layout).Build(ratings.ids, ratings.labels);
  const auto length = [&](const PushRange& range) {
    std::size_t occurrences = 0;
    for (std::size_t push = range.begin; push < range.end; ++push) {
      occurrences += plan.push_occurrences(push).size();
    }
    return occurrences;
  };
  EXPECT_GT(plan.work().size(), plan.segments().size());
  EXPECT_TRUE(std::ranges::is_sorted(plan.work(), std::greater<>(), length));
}

TEST(BatchPlanTest, IdsThatNoTableHasAreABug) {
  const TableLayout layout = MakeLayout(1);
  const std::vector<float> labels = {3};
  const std::vector<std::uint32_t> too_high = {3, 0, 0};
  const std::vector<std::uint32_t> too_few = {0, 0};
  EXPECT_THROW(BatchPlanner(layout).Build(too_high, labels), CheckError);
  EXPECT_THROW(BatchPlanner(layout).Build(too_few, labels), CheckError);
  EXPECT_THROW(BatchPlanner({.dimensions = {1}, .rows = {1, 2}}), CheckError);
}

TEST(BatchPlanTest, InputIsAsWideAsTheRowsOfAllTables) {
  EXPECT_EQ(MakeLayout(1).input_width(), 8U);
  EXPECT_EQ(TableLayout().input_width(), 0U);
}

}  // namespace
}  // namespace dcn::data
