#include "worker/data/split.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <tuple>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/random.h"

namespace dcn::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(SplitTest, CountsWholeRows) {
  const std::tuple<std::size_t, double, std::size_t, std::size_t> cases[] = {
      {1000209, .75, 750156, 250052},  // MovieLens-1M: one row is left over
      {100000, .8, 80000, 20000},      // 1 - .8 is a little below .2
      {100, .29, 29, 71},              // .29 * 100 is a little below 29
      {10, .7, 7, 3},
      {2, .5, 1, 1},
      {3, .5, 1, 1},
      {4, .75, 3, 1},
      {1000000, .999999, 999999, 1},
  };
  for (const auto& [rows, fraction, train, test] : cases) {
    const Split split = MakeSplit(rows, fraction).value();
    EXPECT_EQ(split.train.size(), train) << rows << " " << fraction;
    EXPECT_EQ(split.test.size(), test) << rows << " " << fraction;
  }
}

// In whole hundredths the exact answer is known without floating point.
TEST(SplitTest, CountsWholeRowsForEveryPercentage) {
  for (std::size_t rows = 100; rows < 1100; rows += 37) {
    for (std::size_t percent = 1; percent < 100; ++percent) {
      const Split split = MakeSplit(rows, static_cast<double>(percent) / 100.0).value();
      ASSERT_EQ(split.train.size(), rows * percent / 100) << rows << " " << percent;
      ASSERT_EQ(split.test.size(), rows * (100 - percent) / 100) << rows << " " << percent;
    }
  }
}

TEST(SplitTest, TakesEachRowAtMostOnce) {
  const Split split = MakeSplit(1001, .75).value();
  std::vector<std::uint32_t> all = split.train;
  all.insert(all.end(), split.test.begin(), split.test.end());
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end());
  EXPECT_LT(all.back(), 1001U);
  EXPECT_EQ(all.size(), 1000U);
}

// The definition, written out.
TEST(SplitTest, IsASeededShuffleCutInTwo) {
  std::vector<std::uint32_t> order(777);
  std::iota(order.begin(), order.end(), 0U);
  const RandomStream random(42, StreamId("split"));
  for (std::size_t i = order.size() - 1; i > 0; --i) {
    std::swap(order[i], order[BoundedWord(random.Word64(i), i + 1)]);
  }
  std::vector<std::uint32_t> train(order.begin(), order.begin() + 582);
  const RandomStream batches(42, StreamId("batches"));
  for (std::size_t i = train.size() - 1; i > 0; --i) {
    std::swap(train[i], train[BoundedWord(batches.Word64(i), i + 1)]);
  }
  const Split split = MakeSplit(777, .75).value();
  EXPECT_EQ(split.train, train);
  EXPECT_EQ(split.test, std::vector<std::uint32_t>(order.begin() + 582, order.begin() + 776));
}

TEST(SplitTest, NeverChanges) {
  // Other numbers here are another experiment: results are no longer comparable.
  const Split split = MakeSplit(8, .75).value();
  EXPECT_THAT(split.train, ElementsAre(0, 1, 7, 6, 4, 2));
  EXPECT_THAT(split.test, ElementsAre(5, 3));
}

TEST(SplitTest, RefusesFractionsOutsideOfZeroToOne) {
  for (const double fraction :
       {0.0, 1.0, -.5, 1.5, std::nan(""), std::numeric_limits<double>::infinity()}) {
    const Result<Split> split = MakeSplit(100, fraction);
    ASSERT_FALSE(split.ok()) << fraction;
    EXPECT_EQ(split.status().code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(split.status().message(),
                HasSubstr("the training fraction must be above 0 and below 1, found"));
  }
}

TEST(SplitTest, RefusesAnEmptyPart) {
  for (const auto& [rows, fraction] :
       {std::pair<std::size_t, double>(0, .5), {1, .5}, {10, .01}, {10, .99}, {3, .75}}) {
    const Result<Split> split = MakeSplit(rows, fraction);
    ASSERT_FALSE(split.ok()) << rows << " " << fraction;
    EXPECT_EQ(split.status().code(), StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(MakeSplit(3, .75).status().message(),
            "a training fraction of 0.75 leaves 2 training and 0 test rows of 3: each must be at "
            "least 1");
}

}  // namespace
}  // namespace dcn::data
