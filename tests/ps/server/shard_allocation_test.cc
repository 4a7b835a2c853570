// Steps allocate nothing once a shard has seen the job's batches: every allocation of this program
// is counted.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "common/random.h"
#include "ps/server/shard.h"
#include "tests/ps/push_parts.h"
#include "tests/testing/allocation_count.h"

namespace dcn::ps {
namespace {

using dcn::testing::CountAllocations;
using testing::PushParts;

constexpr std::uint32_t kLeaves = 16;
constexpr std::size_t kBatches = 5;
const std::vector<TableDefinition> kTables = {
    {"a", 8, {}, AdamOptions{}}, {"b", 3, {}, LazyAdamOptions{}}, {"c", 1, {}, SgdOptions{}}};

PushParts Batch(std::uint32_t rank, std::uint32_t ranks, Step step, bool sorted) {
  const std::size_t batch = step % kBatches;
  const auto nodes = RankNodes(rank, ranks, kLeaves);
  PushParts part(rank, step, 0.01F, nodes);
  const RandomStream random(3, batch);
  for (TableId table = 0; table < kTables.size(); ++table) {
    for (Key i = 0; i < 200; ++i) {
      const Key key = sorted ? i : 199 - i;
      if (random.Uniform(table * 200 + key) < 0.5) continue;
      for (const TreeNode& node : nodes) {
        part.Add(table, key, node, std::vector<float>(kTables[table].dimension, 0.5F));
      }
    }
  }
  return part;
}

class ShardAllocationTest : public ::testing::TestWithParam<std::tuple<std::uint32_t, bool>> {};

TEST_P(ShardAllocationTest, AStepOfAKnownSizeAllocatesNothing) {
  DCN_SKIP_WITHOUT_ALLOCATION_COUNT();
  const auto [ranks, sorted] = GetParam();
  Shard shard(ranks);
  ASSERT_TRUE(shard.CreateTables(kTables).ok());
  std::vector<Key> keys;
  for (Key key = 0; key < 300; ++key) keys.push_back(key);
  std::vector<float> values(300 * 8);
  const std::vector<RowsToPull> pull = {{.table = 0, .keys = keys, .values = values}};
  for (Step step = 1; step <= 4 * kBatches; ++step) {
    std::vector<PushParts> parts;
    std::vector<PushRequest> requests;
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      parts.push_back(Batch(rank, ranks, step, sorted));
    }
    for (PushParts& part : parts) requests.push_back(part.Request());
    std::rotate(requests.begin(), requests.begin() + static_cast<int>(step % ranks),
                requests.end());
    const std::size_t before = CountAllocations().allocations;
    for (const PushRequest& request : requests) ASSERT_TRUE(shard.Push(request).ok());
    ASSERT_TRUE(shard.Pull(pull).ok());
    // Which rank comes last changes which part is copied: once round for each of them.
    if (step > kBatches * std::min<Step>(ranks, 3)) {
      EXPECT_EQ(CountAllocations().allocations - before, 0U) << step;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(RanksAndOrder, ShardAllocationTest,
                         ::testing::Combine(::testing::Values(1, 2, 3),
                                            ::testing::Values(true, false)));

}  // namespace
}  // namespace dcn::ps
