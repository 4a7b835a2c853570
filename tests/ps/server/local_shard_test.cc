#include "ps/server/local_shard.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/check.h"
#include "common/floating_point.h"
#include "common/random.h"
#include "ps/partition.h"
#include "tests/ps/float_bits.h"
#include "tests/ps/push_parts.h"
#include "tests/ps/slow_table.h"

namespace dcn::ps {
namespace {

using testing::Bits;
using ::testing::HasSubstr;
using testing::PushParts;
using testing::SlowTable;
using testing::SlowTreeValue;
using testing::TreeParts;

const std::vector<TableDefinition> kTables = {
    {"adam", 32, {.seed = 1}, AdamOptions{}},
    {"lazy", 7, {.seed = 2}, LazyAdamOptions{}},
    {"adagrad", 3, {.seed = 3}, AdagradOptions{}},
    {"sgd", 1, {.seed = 4}, SgdOptions{}},
    {"other adam", 5, {.seed = 5}, AdamOptions{.beta_1 = 0.5F, .beta_2 = 0.9F}}};
constexpr Key kKeys = 60;

// A job as a trainer runs it: N ranks, M shards, each rank with a client for each shard.
class Job {
 public:
  Job(std::uint32_t ranks, std::uint32_t shards) : ranks_(ranks) {
    for (std::uint32_t shard = 0; shard < shards; ++shard) {
      shards_.push_back(std::make_unique<Shard>(ranks));
      for (std::uint32_t rank = 0; rank < ranks; ++rank) {
        clients_.push_back(std::make_unique<LocalShard>(*shards_.back(), rank));
        EXPECT_TRUE(clients_.back()->CreateTables(kTables).ok());
      }
    }
  }

  ShardClient& Client(std::size_t shard, std::uint32_t rank) {
    return *clients_[shard * ranks_ + rank];
  }
  std::uint32_t shard_count() const { return static_cast<std::uint32_t>(shards_.size()); }

  // Pushes every rank's part and pulls `keys` of every table through `puller`; returns the rows by
  // (table, key).
  std::map<std::pair<TableId, Key>, std::vector<float>> PushPull(
      Step step, float rate, std::uint32_t leaves,
      const std::map<std::pair<TableId, Key>, TreeParts>& gradients, std::uint32_t puller) {
    std::map<std::pair<TableId, Key>, std::vector<float>> rows;
    for (std::uint32_t shard = 0; shard < shard_count(); ++shard) {
      std::vector<PushParts> parts;
      for (std::uint32_t rank = 0; rank < ranks_; ++rank) {
        parts.push_back(PartOf(rank, shard, step, rate, leaves, gradients));
      }
      std::vector<std::vector<Key>> keys(kTables.size());
      std::vector<std::vector<float>> values(kTables.size());
      std::vector<RowsToPull> pull;
      for (TableId table = 0; table < kTables.size(); ++table) {
        for (Key key = 0; key < kKeys; ++key) {
          if (ShardOf(table, key, shard_count()) == shard) keys[table].push_back(key);
        }
        values[table].resize(keys[table].size() * kTables[table].dimension);
        pull.push_back({.table = table, .keys = keys[table], .values = values[table]});
      }
      std::vector<PushRequest> requests;
      for (PushParts& part : parts) requests.push_back(part.Request());
      for (std::uint32_t i = 0; i < ranks_; ++i) {
        const std::uint32_t rank = (i + puller) % ranks_;  // the puller comes first
        Client(shard, rank)
            .StartPushPull(requests[rank], rank == puller ? std::span<const RowsToPull>(pull)
                                                          : std::span<const RowsToPull>());
      }
      for (std::uint32_t rank = 0; rank < ranks_; ++rank) {
        const Status status = Client(shard, rank).Finish();
        EXPECT_TRUE(status.ok()) << status.ToString();
      }
      for (TableId table = 0; table < kTables.size(); ++table) {
        const std::size_t dimension = kTables[table].dimension;
        for (std::size_t i = 0; i < keys[table].size(); ++i) {
          const auto row = std::span(values[table]).subspan(i * dimension, dimension);
          rows[{table, keys[table][i]}].assign(row.begin(), row.end());
        }
      }
    }
    return rows;
  }

 private:
  PushParts PartOf(std::uint32_t rank, std::uint32_t shard, Step step, float rate,
                   std::uint32_t leaves,
                   const std::map<std::pair<TableId, Key>, TreeParts>& gradients) const {
    const auto nodes = RankNodes(rank, ranks_, leaves);
    PushParts part(rank, step, rate, nodes);
    for (const auto& [row, tree] : gradients) {
      if (ShardOf(row.first, row.second, shard_count()) != shard) continue;
      for (const TreeNode& node : nodes) {
        const auto value = SlowTreeValue(tree, node.level, node.index);
        if (value) part.Add(row.first, row.second, node, *value);
      }
    }
    return part;
  }

  std::uint32_t ranks_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::vector<std::unique_ptr<LocalShard>> clients_;
};

// A step's gradients by leaf; rows of a low key are touched often, those of a high key seldom.
std::map<std::pair<TableId, Key>, TreeParts> Gradients(Step step, std::uint32_t leaves) {
  const RandomStream random(11, step);
  std::map<std::pair<TableId, Key>, TreeParts> gradients;
  std::uint64_t word = 0;
  for (TableId table = 0; table < kTables.size(); ++table) {
    for (Key key = 0; key < kKeys; ++key) {
      for (std::uint32_t leaf = 0; leaf < leaves; ++leaf) {
        ++word;
        if (random.Uniform(word) * static_cast<double>(key + 2) > 1) continue;
        std::vector<float> values(kTables[table].dimension);
        RandomStream(step, 1000 + word).FillUniform(0.1F, 0, values);
        gradients[{table, key}][{0, leaf}] = values;
      }
    }
  }
  return gradients;
}

class LocalShardJobTest : public ::testing::TestWithParam<std::pair<std::uint32_t, std::uint32_t>> {
};

// The promise of the whole: any number of shards and ranks gives the bits of the slow way.
TEST_P(LocalShardJobTest, HasTheBitsOfOneSlowTable) {
  FlushDenormalsToZero();
  const auto [ranks, shards] = GetParam();
  Job job(ranks, shards);
  std::vector<SlowTable> slow(kTables.begin(), kTables.end());
  constexpr std::uint32_t kLeaves = 16;
  for (Step step = 1; step <= 40; ++step) {
    const float rate = step < 20 ? 0.01F : 0.003F;
    const auto gradients = Gradients(step, step % 10 == 0 ? 9 : kLeaves);  // short batches too
    std::vector<std::map<Key, std::vector<float>>> sums(kTables.size());
    for (const auto& [row, tree] : gradients) {
      sums[row.first][row.second] = *SlowTreeValue(tree, 4, 0);
    }
    const auto rows =
        job.PushPull(step, rate, kLeaves, gradients, static_cast<std::uint32_t>(step % ranks));
    for (TableId table = 0; table < kTables.size(); ++table) {
      slow[table].ApplyStep(rate, sums[table]);
      for (Key key = 0; key < kKeys; ++key) {
        ASSERT_EQ(Bits(rows.at({table, key})), Bits(slow[table].At(key).w))
            << kTables[table].name << ", key " << key << ", step " << step;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(RanksAndShards, LocalShardJobTest,
                         ::testing::Values(std::pair(1, 1), std::pair(1, 2), std::pair(1, 5),
                                           std::pair(2, 1), std::pair(3, 2), std::pair(4, 5),
                                           std::pair(7, 3)),
                         [](const auto& test) {
                           return fmt::format("Ranks{}Shards{}", test.param.first,
                                              test.param.second);
                         });

TEST(LocalShardTest, AssignsAndPulls) {
  Shard shard;
  LocalShard client(shard);
  ASSERT_TRUE(client.CreateTables(kTables).ok());
  const std::vector<Key> keys = {4, 2};
  ASSERT_TRUE(client.Assign(3, keys, std::vector<float>{0.5F, 0.25F}).ok());
  std::vector<float> values(2);
  const std::vector<RowsToPull> pull = {{.table = 3, .keys = keys, .values = values}};
  client.StartPull(pull);
  ASSERT_TRUE(client.Finish().ok());
  EXPECT_EQ(values, (std::vector<float>{0.5F, 0.25F}));
}

TEST(LocalShardTest, WaitsForTheOtherRanksByName) {
  Shard shard(3);
  LocalShard first(shard, 0);
  LocalShard second(shard, 1);
  LocalShard third(shard, 2);
  ASSERT_TRUE(first.CreateTables(kTables).ok());
  const std::vector<Key> keys = {4};
  std::vector<float> values(1);
  const std::vector<RowsToPull> pull = {{.table = 3, .keys = keys, .values = values}};
  PushParts part(1, 1, 0.5F, {{0, 1}});
  part.Add(3, 4, {0, 1}, std::vector<float>{2.0F});

  second.StartPushPull(part.Request(), pull);
  const Status waiting = second.Finish();
  EXPECT_EQ(waiting.code(), StatusCode::kUnavailable);
  EXPECT_THAT(waiting.message(), HasSubstr("step 1 waits for the push of rank 0, 2"));
  EXPECT_EQ(values[0], 0.0F);

  // A plain pull of another rank is answered as of the last applied step, at once.
  std::vector<float> before(1);
  const std::vector<RowsToPull> other_pull = {{.table = 3, .keys = keys, .values = before}};
  first.StartPull(other_pull);
  ASSERT_TRUE(first.Finish().ok());

  first.StartPushPull(PushParts(0, 1, 0.5F, {}).Request(), {});
  third.StartPushPull(PushParts(2, 1, 0.5F, {}).Request(), {});
  EXPECT_TRUE(second.Finish().ok());
  EXPECT_TRUE(first.Finish().ok());
  EXPECT_TRUE(third.Finish().ok());
  EXPECT_EQ(values[0], before[0] - 1.0F);
}

TEST(LocalShardTest, ErrorsComeFromFinishAndChangeNothing) {
  Shard shard;
  LocalShard client(shard);
  ASSERT_TRUE(client.CreateTables(kTables).ok());
  const std::vector<Key> keys = {4};
  std::vector<float> values(1);
  const std::vector<RowsToPull> pull = {{.table = 3, .keys = keys, .values = values}};
  const std::vector<RowsToPull> bad_pull = {{.table = 2, .keys = keys, .values = values}};
  const auto push_pull = [&](std::uint32_t rank, Step step, std::span<const RowsToPull> rows) {
    PushParts part(rank, step, 0.5F, {});
    client.StartPushPull(part.Request(), rows);
    return client.Finish();
  };
  client.StartPull(bad_pull);
  EXPECT_EQ(client.Finish().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(push_pull(0, 1, bad_pull).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(push_pull(1, 1, pull).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(push_pull(0, 2, pull).code(), StatusCode::kOutOfRange);
  EXPECT_EQ(shard.current_step(), 0U);
  EXPECT_EQ(values[0], 0.0F);
  EXPECT_TRUE(push_pull(0, 1, pull).ok());
  EXPECT_EQ(shard.current_step(), 1U);
}

TEST(LocalShardTest, OneRequestAtATime) {
  Shard shard;
  LocalShard client(shard);
  ASSERT_TRUE(client.CreateTables(kTables).ok());
  EXPECT_THROW(std::ignore = client.Finish(), CheckError);
  client.StartPull({});
  EXPECT_THROW(client.StartPull({}), CheckError);
}

}  // namespace
}  // namespace dcn::ps
