#include "worker/data/split.h"

#include <cmath>
#include <limits>
#include <numeric>

#include "common/random.h"

namespace dcn::data {
namespace {

std::size_t WholeRows(double fraction, std::size_t rows) {
  const auto total = static_cast<double>(rows);
  const double product = fraction * total;
  const double nearest = std::nearbyint(product);
  // The error of a decimal fraction and of one subtraction is below 2^-52 of the total.
  const bool is_whole = std::abs(product - nearest) <= 1e-14 * total;
  return static_cast<std::size_t>(is_whole ? nearest : std::floor(product));
}

}  // namespace

Result<Split> MakeSplit(std::size_t rows, double train_fraction) {
  if (!(train_fraction > 0.0 && train_fraction < 1.0)) {
    return Error(StatusCode::kInvalidArgument,
                 "the training fraction must be above 0 and below 1, found {}", train_fraction);
  }
  if (rows > std::numeric_limits<std::uint32_t>::max()) {
    return Error(StatusCode::kInvalidArgument, "a data set has at most {} ratings, found {}",
                 std::numeric_limits<std::uint32_t>::max(), rows);
  }
  const std::size_t train_rows = WholeRows(train_fraction, rows);
  const std::size_t test_rows = WholeRows(1.0 - train_fraction, rows);
  if (train_rows == 0 || test_rows == 0) {
    return Error(StatusCode::kInvalidArgument,
                 "a training fraction of {} leaves {} training and {} test rows of {}: each must "
                 "be at least 1",
                 train_fraction, train_rows, test_rows, rows);
  }

  std::vector<std::uint32_t> order(rows);
  std::iota(order.begin(), order.end(), 0U);
  Shuffle(RandomStream(kSplitSeed, StreamId("split")), order);
  const auto train_end = order.begin() + static_cast<std::ptrdiff_t>(train_rows);
  Split split;
  split.train.assign(order.begin(), train_end);
  split.test.assign(train_end, train_end + static_cast<std::ptrdiff_t>(test_rows));
  Shuffle(RandomStream(kSplitSeed, StreamId("batches")), split.train);
  return split;
}

}  // namespace dcn::data
