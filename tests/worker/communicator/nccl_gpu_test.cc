// The claims of nccl_test.cc and nccl_reduction_test.cc on real GPUs: as many ranks as there are,
// in threads of this process. Skipped, loudly, where there is none.

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/gpu_claims.h"
#include "worker/communicator/nccl_device.h"

namespace dcn::comm {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using testing::OnGpus;

class NcclOnGpus : public ::testing::Test {
 protected:
  void SetUp() override {
    const Result<int> gpus = CountGpus();
    if (!gpus.ok()) GTEST_SKIP() << "NCCL is not tested: " << gpus.status().message();
    gpus_ = *gpus;
  }
  int gpus_ = 0;
};

TEST_F(NcclOnGpus, ExchangesPieces) {
  for (int ranks = 1; ranks <= gpus_; ++ranks) {
    EXPECT_THAT(OnGpus(ranks, testing::CheckGpuExchange), Each(""));
  }
}

TEST_F(NcclOnGpus, AddsWithTheProcessorsBits) {
  EXPECT_THAT(OnGpus(1, testing::CheckGpuAddition), Each(""));
}

TEST_F(NcclOnGpus, SumsInTheTreesOrder) {
  for (int ranks = 1; ranks <= gpus_; ++ranks) {
    for (const std::uint32_t full_leaves : {1U, 5U, 16U}) {
      EXPECT_THAT(OnGpus(ranks,
                         [&](NcclCommunicator& communicator) {
                           for (const std::size_t count : {0U, 1U, 3U, 4'100U, 112'000U}) {
                             std::string wrong =
                                 testing::CheckNcclReduction(communicator, full_leaves, count);
                             if (!wrong.empty()) return wrong;
                           }
                           return std::string();
                         }),
                  Each(""));
    }
  }
}

TEST_F(NcclOnGpus, SumsNearTheTreeByItself) {
  for (int ranks = 1; ranks <= gpus_; ++ranks) {
    EXPECT_THAT(OnGpus(ranks,
                       [](NcclCommunicator& communicator) {
                         return testing::CheckNcclAllReduce(communicator, 16, 112'000);
                       }),
                Each(""));
  }
}

TEST_F(NcclOnGpus, RefusesMoreRanksThanGpus) {
  EXPECT_THAT(OnGpus(gpus_ + 1, testing::CheckGpuExchange), Each(HasSubstr("a GPU of its own")));
}

}  // namespace
}  // namespace dcn::comm
