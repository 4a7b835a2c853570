// Steps allocate nothing once a shard has seen the job's batches: every allocation of this program
// is counted.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <vector>

#include <gtest/gtest.h>

#include "common/random.h"
#include "ps/server/shard.h"
#include "tests/ps/push_parts.h"

namespace {
std::size_t allocations = 0;  // this program has one thread
}

#ifndef DCN_SANITIZED  // a sanitizer brings its own
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(std::max<std::size_t>(size, 1))) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
  ++allocations;
  const auto align = static_cast<std::size_t>(alignment);
  if (void* memory = std::aligned_alloc(align, (size + align - 1) / align * align)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
#endif

namespace dcn::ps {
namespace {

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
#ifdef DCN_SANITIZED
  GTEST_SKIP() << "allocations are a sanitizer's business here, and cannot be counted";
#endif
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
    const std::size_t before = allocations;
    for (const PushRequest& request : requests) ASSERT_TRUE(shard.Push(request).ok());
    ASSERT_TRUE(shard.Pull(pull).ok());
    // Which rank comes last changes which part is copied: once round for each of them.
    if (step > kBatches * std::min<Step>(ranks, 3)) {
      EXPECT_EQ(allocations - before, 0U) << step;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(RanksAndOrder, ShardAllocationTest,
                         ::testing::Combine(::testing::Values(1, 2, 3),
                                            ::testing::Values(true, false)));

TEST(AllocationCountTest, CountsAllocations) {
#ifdef DCN_SANITIZED
  GTEST_SKIP() << "allocations are a sanitizer's business here, and cannot be counted";
#endif
  // A direct call: a compiler may leave out a new-expression whose memory nobody uses.
  const std::size_t before = allocations;
  void* const memory = ::operator new(40);
  EXPECT_EQ(allocations - before, 1U);
  ::operator delete(memory);
}

}  // namespace
}  // namespace dcn::ps
