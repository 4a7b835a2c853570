// Whole runs whose dense gradients are combined by NCCL's communicator, on a stand-in for GPUs: the
// bits of one process in the tree's order; near them, and the same on all ranks, by NCCL's sum.

#include <gtest/gtest.h>

#include "tests/testing/cuda_stand_in/cuda_stand_in.h"
#include "tests/testing/gpu_claims.h"
#include "tests/testing/small_training.h"

namespace dcn::train {
namespace {

testing::ReductionMaker OnGpu(bool is_ordered) {
  return [is_ordered](comm::Communicator& communicator, ThreadPool& pool, std::uint32_t full_leaves,
                      std::size_t count) {
    return testing::MakeGpuReduction(communicator, pool, full_leaves, count, is_ordered);
  };
}

TEST(TrainingOnNccl, HasTheBitsOfOneProcess) {
  const testing::SmallOutcome alone = testing::TrainSmall({});
  for (const std::uint32_t ranks : {2U, 3U, 4U, 7U}) {
    SCOPED_TRACE(ranks);
    const testing::CudaStandIn machine(static_cast<int>(ranks));
    const testing::SmallOutcome outcome =
        testing::TrainSmall({.ranks = ranks,
                             .threads = static_cast<int>(ranks % 2 + 1),
                             .make_reduction = OnGpu(true)});
    EXPECT_EQ(outcome, alone);
    EXPECT_TRUE(machine.Complaints().empty());
  }
}

// TrainSmall holds the ranks' results to be the same.
TEST(TrainingOnNccl, IsNearOneProcessByNcclsOwnSum) {
  const testing::SmallOutcome alone = testing::TrainSmall({});
  for (const std::uint32_t ranks : {2U, 3U}) {
    SCOPED_TRACE(ranks);
    const testing::CudaStandIn machine(static_cast<int>(ranks));
    const testing::SmallOutcome outcome =
        testing::TrainSmall({.ranks = ranks, .make_reduction = OnGpu(false)});
    EXPECT_NEAR(outcome.rmse, alone.rmse, 1e-3);
    EXPECT_TRUE(machine.Complaints().empty());
  }
}

}  // namespace
}  // namespace dcn::train
