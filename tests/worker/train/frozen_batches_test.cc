// How training rows are cut into batches, over batches and over ranks.
#include "worker/train/frozen_batches.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "common/check.h"
#include "tests/testing/small_training.h"

namespace dcn::train {
namespace {

constexpr std::size_t kBatchRows = 20;

class FrozenBatchesTest : public ::testing::Test {
 protected:
  FrozenBatchesTest() : dataset_(testing::SmallDataset(200, 4)) {
    for (const data::Vocabulary& vocabulary : dataset_.vocabularies()) {
      layout_.dimensions.push_back(3);
      layout_.rows.push_back(vocabulary.table_rows());
    }
    // An order that is not the data set's.
    for (std::uint32_t i = 0; i < 200; ++i) rows_.push_back(i * 37 % 200);
  }

  [[nodiscard]] std::span<const std::uint32_t> FirstRows(std::size_t count) const {
    return std::span(rows_).first(count);
  }

  // The plan holds these rows of the data set, in this order.
  void ExpectRows(const data::BatchPlan& plan, std::span<const std::uint32_t> rows) const {
    ASSERT_EQ(plan.rows(), rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(plan.labels()[i], dataset_.labels()[rows[i]]);
    }
    for (const data::Segment& segment : plan.segments()) {
      for (std::size_t i = 0; i < segment.entry_count; ++i) {
        const std::size_t entry = segment.first_entry + i;
        for (const std::uint32_t row : plan.occurrences(entry)) {
          EXPECT_EQ(dataset_.ids(rows[row])[segment.table], plan.keys()[entry]);
        }
      }
    }
  }

  const data::Dataset dataset_;
  data::TableLayout layout_;
  std::vector<std::uint32_t> rows_;
};

TEST_F(FrozenBatchesTest, BatchesAreThePiecesOfTheRowsInOrder) {
  for (const std::size_t count : {1U, 19U, 20U, 21U, 60U, 199U}) {
    SCOPED_TRACE(count);
    const auto rows = FirstRows(count);
    FrozenBatches batches(dataset_, rows, {.batch_rows = kBatchRows, .slice_rows = 8}, layout_);
    ASSERT_EQ(batches.count(), (count + kBatchRows - 1) / kBatchRows);
    for (std::size_t b = 0; b < batches.count(); ++b) {
      const auto piece = rows.subspan(b * kBatchRows, std::min(kBatchRows, count - b * kBatchRows));
      const data::BatchPlan& plan = batches.Get(b);
      EXPECT_EQ(plan.batch_rows(), piece.size());
      ExpectRows(plan, piece);
    }
  }
}

TEST_F(FrozenBatchesTest, NoRowsAreNoBatches) {
  EXPECT_EQ(FrozenBatches(dataset_, {}, {.batch_rows = kBatchRows}, layout_).count(), 0U);
}

TEST_F(FrozenBatchesTest, BatchesOfNoRowsAreABug) {
  EXPECT_THROW(FrozenBatches(dataset_, rows_, {.batch_rows = 0}, layout_), CheckError);
}

// 50 rows: two whole batches of three slices, and one of ten rows that ranks may have no part of.
TEST_F(FrozenBatchesTest, RanksHaveTheBatchBetweenThem) {
  const auto rows = FirstRows(50);
  for (const std::uint32_t ranks : {1U, 2U, 3U, 5U}) {
    std::vector<std::size_t> rows_of_batch(3);
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      SCOPED_TRACE(fmt::format("rank {} of {}", rank, ranks));
      const BatchCut cut = {kBatchRows, 8, rank, ranks};
      FrozenBatches batches(dataset_, rows, cut, layout_);
      for (std::size_t b = 0; b < batches.count(); ++b) {
        const data::BatchPlan& plan = batches.Get(b);
        const std::size_t begin = b * kBatchRows;
        const std::size_t batch_rows = std::min(kBatchRows, rows.size() - begin);
        EXPECT_EQ(plan.batch_rows(), batch_rows);
        const RankShare share = ShareOf(cut, batch_rows);
        EXPECT_EQ(share.row_begin, rows_of_batch[b]);
        ExpectRows(plan, rows.subspan(begin + rows_of_batch[b], plan.rows()));
        rows_of_batch[b] += plan.rows();
      }
    }
    EXPECT_EQ(rows_of_batch, (std::vector<std::size_t>{20, 20, 10})) << ranks;
  }
}

TEST_F(FrozenBatchesTest, APlanIsMadeOnceAndStays) {
  FrozenBatches batches(dataset_, rows_, {.batch_rows = kBatchRows, .slice_rows = 8}, layout_);
  batches.Prepare(3);
  const data::BatchPlan* const plan = &batches.Get(3);
  for (std::size_t b = 0; b < batches.count(); ++b) batches.Prepare(b);
  EXPECT_EQ(&batches.Get(3), plan);
  ExpectRows(*plan, std::span(rows_).subspan(3 * kBatchRows, kBatchRows));
}

}  // namespace
}  // namespace dcn::train
