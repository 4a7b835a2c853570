#include "ps/table/table_snapshot.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include <gtest/gtest.h>

#include "common/floating_point.h"
#include "common/random.h"
#include "ps/table/embedding_table.h"
#include "tests/ps/float_bits.h"

namespace dcn::ps {
namespace {

using testing::Bits;

constexpr std::uint32_t kDimension = 3;

struct StoredCopy {
  std::uint32_t last_step = 0;
  std::vector<std::uint32_t> record;  // bits
  friend bool operator==(const StoredCopy&, const StoredCopy&) = default;
};
using Rows = std::map<Key, StoredCopy>;

Rows StoredRows(const EmbeddingTable& table) {
  Rows rows;
  table.ForEachRow([&](const StoredRow& row) {
    std::vector<float> record(row.weights.begin(), row.weights.end());
    record.insert(record.end(), row.state.begin(), row.state.end());
    rows[row.key] = {static_cast<std::uint32_t>(row.last_step), Bits(record)};
  });
  return rows;
}

void AddCopies(const std::vector<RowCopies>& blocks, std::size_t record_size, Rows& rows) {
  for (const RowCopies& copies : blocks) {
    for (std::size_t i = 0; i < copies.keys.size(); ++i) {
      const auto first = copies.records.begin() + static_cast<std::ptrdiff_t>(i * record_size);
      const auto last = first + static_cast<std::ptrdiff_t>(record_size);
      const bool is_new =
          rows.emplace(copies.keys[i],
                       StoredCopy{copies.last_steps[i], Bits(std::vector<float>(first, last))})
              .second;
      EXPECT_TRUE(is_new) << "row " << copies.keys[i] << " was copied twice";
    }
  }
}

class TableSnapshotTest : public ::testing::TestWithParam<OptimizerOptions> {
 protected:
  void SetUp() override { FlushDenormalsToZero(); }

  // A step on `count` rows from `first` on.
  static void Step(EmbeddingTable& table, Key first, std::size_t count) {
    std::vector<Key> keys;
    for (std::size_t i = 0; i < count; ++i) keys.push_back(first + 3 * i);
    std::vector<float> gradients(count * kDimension);
    RandomStream(2, table.step()).FillUniform(1.0F, 0, gradients);
    table.ApplyStep(0.01F, keys, gradients);
  }

  static std::vector<float> ReadSome(EmbeddingTable& table) {
    std::vector<Key> keys;
    for (Key key = 0; key < 900; key += 2) keys.push_back(key);
    std::vector<float> values(keys.size() * kDimension);
    table.Read(keys, values);
    return values;
  }

  EmbeddingTable MakeTable() const {
    return EmbeddingTable({"t", kDimension, {.seed = 1}, GetParam()});
  }
};

TEST_P(TableSnapshotTest, HoldsTheRowsOfItsMomentWhateverComesAfter) {
  EmbeddingTable table = MakeTable();
  Step(table, 0, 200);
  Step(table, 100, 50);
  const Rows expected = StoredRows(table);
  table.BeginSnapshot(4);
  Rows copied;
  for (int round = 0; !table.snapshot()->is_complete(); ++round) {
    ASSERT_LT(round, 100);
    Step(table, static_cast<Key>(10 * round), 30);  // changes rows, makes new ones, the index grows
    (void)ReadSome(table);                          // replays
    table.Assign(std::vector<Key>{1, 2}, std::vector<float>(2 * kDimension, 0.5F));
    table.CopyRows(7);
    AddCopies(table.snapshot()->TakeCopies(), table.record_size(), copied);
  }
  AddCopies(table.snapshot()->TakeCopies(), table.record_size(), copied);
  table.EndSnapshot();
  EXPECT_EQ(copied, expected);
}

TEST_P(TableSnapshotTest, RestoredRowsGoOnWithTheSameBits) {
  EmbeddingTable table = MakeTable();
  std::vector<float> step_sizes;
  for (int i = 0; i < 20; ++i) {
    Step(table, static_cast<Key>(i), 40);
    step_sizes.push_back(
        AdamStepSize(0.01F, AdamOptions{}.beta_1, AdamOptions{}.beta_2, table.step()));
  }
  EmbeddingTable restored = MakeTable();
  restored.RestoreStep(table.step(), step_sizes);
  table.BeginSnapshot(0);
  table.CopyRows(table.row_count());
  for (const RowCopies& copies : table.snapshot()->TakeCopies()) {
    restored.RestoreRows(copies.keys, copies.last_steps, copies.records);
  }
  EXPECT_EQ(StoredRows(restored), StoredRows(table));
  for (int i = 0; i < 20; ++i) {
    Step(table, static_cast<Key>(7 * i), 40);
    Step(restored, static_cast<Key>(7 * i), 40);
  }
  EXPECT_EQ(Bits(ReadSome(restored)), Bits(ReadSome(table)));
}

TEST_P(TableSnapshotTest, OfNoRowsIsCompleteAtOnce) {
  EmbeddingTable table = MakeTable();
  table.BeginSnapshot(0);
  EXPECT_TRUE(table.snapshot()->is_complete());
  EXPECT_TRUE(table.snapshot()->TakeCopies().empty());
}

TEST(TableSnapshotBlocksTest, HandsOutFullBlocksBeforeTheEnd) {
  EmbeddingTable table({"t", 64, {.seed = 1}, SgdOptions{}});
  std::vector<Key> keys;
  for (Key key = 0; key < 10'000; ++key) keys.push_back(key);
  table.Assign(keys, std::vector<float>(keys.size() * 64));
  table.BeginSnapshot(0);
  table.CopyRows(5'000);
  std::size_t rows = 0;
  for (const RowCopies& copies : table.snapshot()->TakeCopies()) {
    EXPECT_EQ(copies.keys.size(), 4096U);  // 1 MiB of records
    rows += copies.keys.size();
  }
  EXPECT_EQ(rows, 4096U);
  EXPECT_EQ(table.snapshot()->missing(), 5'000U);
}

INSTANTIATE_TEST_SUITE_P(Rules, TableSnapshotTest,
                         ::testing::Values(OptimizerOptions(AdamOptions{}),
                                           OptimizerOptions(LazyAdamOptions{}),
                                           OptimizerOptions(AdagradOptions{}),
                                           OptimizerOptions(SgdOptions{})));

}  // namespace
}  // namespace dcn::ps
