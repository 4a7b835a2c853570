// Whole runs with the model on a GPU: the same bits for any number of threads. Skipped, loudly,
// where LibTorch has no GPU.

#include <gtest/gtest.h>

#include "tests/testing/engines.h"
#include "tests/testing/small_training.h"

namespace dcn::train {
namespace {

using testing::SmallOutcome;
using testing::TrainSmall;

TEST(TrainingOnGpu, HasTheSameBitsForAnyNumberOfThreads) {
  DCN_SKIP_WITHOUT_TORCH_GPUS(1);
  const SmallOutcome one = TrainSmall({.engine = "torch", .is_on_gpus = true});
  for (const int threads : {1, 2, 4}) {
    EXPECT_EQ(TrainSmall({.threads = threads, .engine = "torch", .is_on_gpus = true}), one);
  }
}

TEST(TrainingOnGpu, IsNearTheProcessors) {
  DCN_SKIP_WITHOUT_TORCH_GPUS(1);
  const SmallOutcome cpu = TrainSmall({.engine = "torch"});
  const SmallOutcome gpu = TrainSmall({.engine = "torch", .is_on_gpus = true});
  EXPECT_NEAR(gpu.losses.front(), cpu.losses.front(), 1e-5 * cpu.losses.front());
  EXPECT_NEAR(gpu.rmse, cpu.rmse, 1e-3);
}

TEST(TrainingOnGpu, HasTheSameBitsForAnyNumberOfGpus) {
  DCN_SKIP_WITHOUT_TORCH_GPUS(2);
  const SmallOutcome one = TrainSmall({.engine = "torch", .is_on_gpus = true});
  EXPECT_EQ(TrainSmall({.ranks = 2, .engine = "torch", .is_on_gpus = true}), one);
}

}  // namespace
}  // namespace dcn::train
