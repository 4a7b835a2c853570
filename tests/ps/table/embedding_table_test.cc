#include "ps/table/embedding_table.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "common/floating_point.h"
#include "common/random.h"
#include "ps/table/table_definition.h"
#include "tests/ps/fading_rows.h"
#include "tests/ps/float_bits.h"
#include "tests/ps/slow_table.h"

namespace dcn::ps {
namespace {

using testing::Bits;
using testing::CountDenormals;
using testing::DenormalsKept;
using testing::FadingRows;
using testing::SlowTable;

const OptimizerOptions kRules[] = {AdamOptions{}, LazyAdamOptions{}, AdagradOptions{},
                                   SgdOptions{}};

TableDefinition Definition(std::uint32_t dimension, const OptimizerOptions& rule) {
  return {"embedding/a", dimension, {.seed = 1, .limit = 0.05F}, rule};
}

std::vector<float> Read(EmbeddingTable& table, const std::vector<Key>& keys) {
  std::vector<float> values(keys.size() * table.definition().dimension, 99.0F);
  table.Read(keys, values);
  return values;
}

std::vector<float> RandomValues(std::uint64_t stream, std::size_t size) {
  std::vector<float> values(size);
  RandomStream(5, stream).FillUniform(1.0F, 0, values);
  return values;
}

class EmbeddingTableTest : public ::testing::Test {
 protected:
  void SetUp() override { FlushDenormalsToZero(); }
};

// A table and its oracle, driven alike.
class Pair {
 public:
  explicit Pair(const TableDefinition& definition) : fast(definition), slow(definition) {}

  void Step(float rate, const std::vector<Key>& keys, const std::vector<float>& gradients) {
    const std::size_t dimension = fast.definition().dimension;
    std::map<Key, std::vector<float>> by_key;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const auto first = gradients.begin() + static_cast<std::ptrdiff_t>(i * dimension);
      by_key[keys[i]].assign(first, first + static_cast<std::ptrdiff_t>(dimension));
    }
    fast.ApplyStep(rate, keys, gradients);
    slow.ApplyStep(rate, by_key);
  }

  void ExpectSameRows(const std::vector<Key>& keys, const std::string& what) {
    const std::vector<float> rows = Read(fast, keys);
    std::vector<float> expected;
    for (const Key key : keys) {
      const auto& w = slow.At(key).w;
      expected.insert(expected.end(), w.begin(), w.end());
    }
    EXPECT_EQ(Bits(rows), Bits(expected)) << what;
  }

  EmbeddingTable fast;
  SlowTable slow;
};

TEST_F(EmbeddingTableTest, AMissingRowReadsAsItsFirstValueAndIsNotMade) {
  for (const OptimizerOptions& rule : kRules) {
    const TableDefinition definition = Definition(5, rule);
    EmbeddingTable table(definition);
    const std::vector<Key> keys = {0, 7, std::numeric_limits<Key>::max()};
    std::vector<float> expected(15);
    for (std::size_t i = 0; i < 3; ++i) {
      RowInitializer(definition.initializer, definition.name)
          .Fill(keys[i], std::span(expected).subspan(5 * i, 5));
    }
    EXPECT_EQ(Bits(Read(table, keys)), Bits(expected));
    EXPECT_EQ(table.row_count(), 0U);
    EXPECT_FALSE(table.Find(7).has_value());
    // Nor does it move while others do.
    table.ApplyStep(0.1F, std::vector<Key>{3}, RandomValues(1, 5));
    EXPECT_EQ(Bits(Read(table, keys)), Bits(expected));
    EXPECT_EQ(table.row_count(), 1U);
  }
}

TEST_F(EmbeddingTableTest, NoKeysAreNoWork) {
  EmbeddingTable table(Definition(4, AdamOptions{}));
  EXPECT_TRUE(Read(table, {}).empty());
  table.Assign({}, {});
  table.ApplyStep(0.1F, {}, {});
  EXPECT_EQ(table.step(), 1U);
  EXPECT_EQ(table.row_count(), 0U);
  table.ForEachRow([](const StoredRow&) { ADD_FAILURE() << "a row in an empty table"; });
}

TEST_F(EmbeddingTableTest, AStoredRowHasTheStateOfItsRule) {
  for (const OptimizerOptions& rule : kRules) {
    Pair pair(Definition(3, rule));
    pair.Step(0.1F, {11}, {1.0F, -2.0F, 0.0F});
    const auto row = pair.fast.Find(11);
    ASSERT_TRUE(row.has_value());
    EXPECT_EQ(row->key, 11U);
    EXPECT_EQ(row->last_step, 1U);
    SlowTable::Row& slow = pair.slow.At(11);
    EXPECT_EQ(Bits(row->weights), Bits(slow.w));
    std::vector<float> state = slow.m;
    state.insert(state.end(), slow.v.begin(), slow.v.end());
    state.resize(3 * StateCount(rule));
    EXPECT_EQ(Bits(row->state), Bits(state)) << OptimizerName(rule);
  }
}

// Random steps, reads and assignments over a growing set of keys.
TEST_F(EmbeddingTableTest, AgreesWithTheSlowTable) {
  const RandomStream random(9, 1);
  for (const OptimizerOptions& rule : kRules) {
    for (const std::uint32_t dimension : {1U, 2U, 7U, 16U, 31U, 32U, 33U, 64U}) {
      Pair pair(Definition(dimension, rule));
      std::uint64_t word = 0;
      const auto random_keys = [&](std::uint64_t at_most) {
        std::set<Key> keys;
        const std::uint64_t count = BoundedWord(random.Word64(word++), at_most + 1);
        for (std::uint64_t i = 0; i < count; ++i) {
          const Key key = BoundedWord(random.Word64(word++), 10 * (1 + pair.fast.step()));
          keys.insert(key * key * 0x10001);  // with gaps, up to far above 32 bits
        }
        std::vector<Key> order(keys.begin(), keys.end());
        if (word % 2 == 0) std::ranges::reverse(order);
        return order;
      };
      for (std::uint64_t round = 0; round < 60; ++round) {
        const auto touched = random_keys(100);
        const float rate = round % 20 < 10 ? 0.01F : 0.02F;
        pair.Step(rate, touched, RandomValues(round, touched.size() * dimension));
        if (round % 7 == 0) {
          const auto set = random_keys(5);
          const auto values = RandomValues(1000 + round, set.size() * dimension);
          pair.fast.Assign(set, values);
          for (std::size_t i = 0; i < set.size(); ++i) {
            const auto first = values.begin() + static_cast<std::ptrdiff_t>(i * dimension);
            pair.slow.Assign(set[i], {first, first + static_cast<std::ptrdiff_t>(dimension)});
          }
        }
        if (round % 3 == 0) {
          pair.ExpectSameRows(random_keys(200), fmt::format("{}, {} lanes, round {}",
                                                            OptimizerName(rule), dimension, round));
        }
        if (HasFailure()) return;
      }
    }
  }
}

TEST_F(EmbeddingTableTest, GrowsWithoutLosingARow) {
  EmbeddingTable table(Definition(2, SgdOptions{}));
  constexpr Key kRows = 100000;
  std::vector<Key> keys;
  std::vector<float> values;
  for (Key key = 0; key < kRows; ++key) {
    keys.push_back(key << 20);  // all alike in their low bits
    values.push_back(static_cast<float>(key));
    values.push_back(-static_cast<float>(key));
  }
  // In pieces of odd sizes, each with one row of the piece before.
  for (std::size_t first = 0; first < kRows; first += 997) {
    const std::size_t begin = first == 0 ? 0 : first - 1;
    const std::size_t count = std::min<std::size_t>(998, kRows - begin);
    table.Assign(std::span(keys).subspan(begin, count),
                 std::span(values).subspan(2 * begin, 2 * count));
  }
  EXPECT_EQ(table.row_count(), kRows);
  EXPECT_EQ(Bits(Read(table, keys)), Bits(values));
  std::set<Key> seen;
  table.ForEachRow([&](const StoredRow& row) {
    EXPECT_TRUE(seen.insert(row.key).second);
    EXPECT_EQ(row.weights[0], static_cast<float>(row.key >> 20));
    EXPECT_TRUE(row.state.empty());
  });
  EXPECT_EQ(seen.size(), kRows);
}

TEST_F(EmbeddingTableTest, AssignStartsARowAfresh) {
  Pair pair(Definition(2, AdamOptions{}));
  pair.Step(0.1F, {1, 2}, {1.0F, 2.0F, -1.0F, -2.0F});
  for (int step = 0; step < 4; ++step) pair.Step(0.1F, {1}, {1.0F, 2.0F});
  EXPECT_EQ(pair.fast.Find(2)->last_step, 1U);
  pair.fast.Assign(std::vector<Key>{2, 3}, std::vector<float>{0.5F, 0.25F, 0.125F, 0.0F});
  pair.slow.Assign(2, {0.5F, 0.25F});
  pair.slow.Assign(3, {0.125F, 0.0F});
  for (const Key key : {Key{2}, Key{3}}) EXPECT_EQ(pair.fast.Find(key)->last_step, 5U);
  EXPECT_EQ(Bits(pair.fast.Find(2)->state), Bits(std::vector<float>(4, 0.0F)));
  EXPECT_EQ(Read(pair.fast, {2, 3}), (std::vector<float>{0.5F, 0.25F, 0.125F, 0.0F}));
  for (int step = 0; step < 5; ++step) pair.Step(0.1F, {2}, {1.0F, 2.0F});
  pair.ExpectSameRows({1, 2, 3, 4}, "after more steps");
}

TEST_F(EmbeddingTableTest, AnAssignedDenormalIsFlushedByTheNextStepAsInASweep) {
  Pair pair(Definition(2, AdamOptions{}));
  const std::vector<float> tiny = {1e-40F, -1e-40F};
  pair.fast.Assign(std::vector<Key>{1}, tiny);
  pair.slow.Assign(1, tiny);
  EXPECT_EQ(Bits(Read(pair.fast, {1})), Bits(tiny));
  pair.Step(0.1F, {}, {});
  pair.ExpectSameRows({1}, "after a step");
}

#if defined(__SSE2__)
TEST_F(EmbeddingTableTest, RowsTouchedOnceHoldNoDenormalsThousandsOfStepsLater) {
  const FadingRows rows;
  EmbeddingTable table(rows.definition);
  table.Assign(rows.keys, rows.weights);
  table.ApplyStep(FadingRows::kLearningRate, rows.keys, rows.gradients);
  while (table.step() < FadingRows::kSteps) table.ApplyStep(FadingRows::kLearningRate, {}, {});
  for (const Key key : rows.keys) ASSERT_EQ(table.Find(key)->last_step, 1U);
  Read(table, rows.keys);

  SlowTable swept = rows.Sweep();
  SlowTable kept = [&] {
    const DenormalsKept denormals;
    return rows.Sweep();
  }();
  for (const Key key : rows.keys) {
    const auto stored = table.Find(key);
    const auto m = stored->state.first(FadingRows::kDimension);
    const auto v = stored->state.last(FadingRows::kDimension);
    ASSERT_EQ(stored->last_step, FadingRows::kSteps);
    EXPECT_EQ(Bits(stored->weights), Bits(swept.At(key).w)) << "key " << key;
    EXPECT_EQ(Bits(m), Bits(swept.At(key).m)) << "key " << key;
    EXPECT_EQ(Bits(v), Bits(swept.At(key).v)) << "key " << key;
    EXPECT_EQ(CountDenormals(stored->weights), 0U) << "key " << key;
    EXPECT_EQ(CountDenormals(stored->state), 0U) << "key " << key;
    EXPECT_GT(CountDenormals(kept.At(key).m), 0U) << "key " << key << " says nothing";
  }
}
#endif

TEST_F(EmbeddingTableTest, ARowTakesLittleMoreThanItsPayload) {
  // 790,000 rows are just behind a growth of the index (at 786,432), its worst moment.
  EmbeddingTable table(Definition(32, AdamOptions{}));
  constexpr std::size_t kRows = 790'000;
  std::vector<Key> keys;
  for (Key key = 0; key < kRows; ++key) keys.push_back(key * 7919);
  table.Assign(keys, std::vector<float>(kRows * 32));
  const double payload = 3 * 32 * sizeof(float);
  EXPECT_LE(static_cast<double>(table.memory_bytes()) / kRows, 1.15 * payload);
  EXPECT_GE(static_cast<double>(table.memory_bytes()) / kRows, payload);
}

TEST_F(EmbeddingTableTest, RulesWithoutStateTakeNoMemoryForIt) {
  constexpr std::size_t kRows = 20000;
  std::vector<Key> keys;
  for (Key key = 0; key < kRows; ++key) keys.push_back(key);
  for (const OptimizerOptions& rule : kRules) {
    EmbeddingTable table(Definition(64, rule));
    table.Assign(keys, std::vector<float>(kRows * 64));
    const double payload = static_cast<double>(1 + StateCount(rule)) * 64 * sizeof(float);
    EXPECT_NEAR(static_cast<double>(table.memory_bytes()) / kRows, payload, 50)
        << OptimizerName(rule);
  }
}

}  // namespace
}  // namespace dcn::ps
