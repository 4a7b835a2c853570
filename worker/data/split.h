// Which ratings train and which test, and the order in which training reads them.
//
// One split for every model, run and seed: runs differ in their first weights only. The same
// number of rows and the same fraction give the same split on every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/status.h"

namespace dcn::data {

/// Seeds the shuffles below. Not an option: results are compared over a fixed split.
inline constexpr std::uint64_t kSplitSeed = 42;

/// Rows of a data set.
struct Split {
  std::vector<std::uint32_t> train;  // in batch order: consecutive pieces are the frozen batches
  std::vector<std::uint32_t> test;   // in the order of the split's shuffle
};

/// Shuffles 0 .. rows-1 with kSplitSeed; the first whole number of rows in train_fraction * rows
/// train, the next whole number in (1 - train_fraction) * rows test (so one row may be left over).
/// The training rows are then shuffled once more, with a stream of their own.
/// A product that misses a whole number only by the rounding of binary fractions counts as that
/// number: 0.2 of 100,000 is 20,000 although 1 - 0.8 is a little below 0.2.
/// kInvalidArgument: train_fraction not in (0, 1), no training or no test row, or >= 2^32 rows.
Result<Split> MakeSplit(std::size_t rows, double train_fraction);

}  // namespace dcn::data
