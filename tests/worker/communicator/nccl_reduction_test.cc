// The reductions on GPUs, on a stand-in for CUDA and NCCL: the bits of the tree's definition (those
// that ordered_reduction.h has, too), sums near it, and what faults come to.

#include "worker/communicator/nccl_reduction.h"

#include <chrono>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/thread_pool.h"
#include "tests/testing/cuda_stand_in/cuda_stand_in.h"
#include "tests/testing/gpu_claims.h"
#include "worker/communicator/nccl_all_reduce.h"

namespace dcn::comm {
namespace {

using std::chrono::milliseconds;
using testing::CudaStandIn;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kNever;
using testing::OnGpus;
using ::testing::StartsWith;

constexpr int kSizes[] = {1, 2, 3, 4, 7, 8};

// Of what the stand-in adds with: nccl_gpu_test holds GPUs to it.
TEST(NcclReductionTest, AddsWithTheProcessorsBits) {
  CudaStandIn machine(1);
  EXPECT_THAT(OnGpus(1, testing::CheckGpuAddition), Each(""));
  EXPECT_THAT(machine.Complaints(), IsEmpty());
}

// Some leaves are few enough to leave ranks without nodes.
TEST(NcclReductionTest, SumsInTheTreesOrder) {
  for (const int ranks : kSizes) {
    for (const std::uint32_t full_leaves : {1U, 5U, 16U}) {
      for (const std::size_t count : {0U, 1U, 3U, 4'100U}) {
        CudaStandIn machine(ranks);
        ASSERT_THAT(OnGpus(ranks,
                           [&](NcclCommunicator& communicator) {
                             return testing::CheckNcclReduction(communicator, full_leaves, count);
                           }),
                    Each(""));
        ASSERT_THAT(machine.Complaints(), IsEmpty());
      }
    }
  }
}

TEST(NcclReductionTest, SumsAWholeModel) {
  for (const int ranks : kSizes) {
    CudaStandIn machine(ranks);
    EXPECT_THAT(OnGpus(ranks,
                       [](NcclCommunicator& communicator) {
                         return testing::CheckNcclReduction(communicator, 3, 112'000);
                       }),
                Each(""));
    EXPECT_THAT(machine.Complaints(), IsEmpty());
  }
}

TEST(NcclReductionTest, WaitsForSlowStreams) {
  CudaStandIn machine(3);
  for (int gpu = 0; gpu < 3; ++gpu) {
    machine.faults(gpu) = {.taken_polls = 3 * gpu, .stream_polls = 2 + 5 * gpu};
  }
  EXPECT_THAT(OnGpus(3,
                     [](NcclCommunicator& communicator) {
                       return testing::CheckNcclReduction(communicator, 16, 100);
                     }),
              Each(""));
}

TEST(NcclAllReduceTest, SumsNearTheTree) {
  for (const int ranks : kSizes) {
    for (const std::uint32_t full_leaves : {1U, 5U, 16U}) {
      for (const std::size_t count : {0U, 1U, 3U, 4'100U}) {
        CudaStandIn machine(ranks);
        ASSERT_THAT(OnGpus(ranks,
                           [&](NcclCommunicator& communicator) {
                             return testing::CheckNcclAllReduce(communicator, full_leaves, count);
                           }),
                    Each(""));
        ASSERT_THAT(machine.Complaints(), IsEmpty());
      }
    }
  }
}

// One step of a reduction of 5 leaves and 40 parameters, all of them 1; its error.
template <typename Reduction>
std::string RunOnce(NcclCommunicator& communicator) {
  ThreadPool pool(1);
  auto reduction = Reduction::Make(communicator, pool, 5, 40);
  if (!reduction.ok()) return reduction.status().ToString();
  const std::vector<double> scalars((*reduction)->NodesOf(5).size(), 1.0);
  std::vector<float> sum(40);
  const auto scalar = (*reduction)
                          ->Run(
                              5,
                              [](std::size_t, std::size_t size, std::span<float* const> out) {
                                for (float* const values : out) std::fill_n(values, size, 1.0F);
                              },
                              scalars, sum, "dense gradients of step 3");
  return scalar.ok() ? "" : scalar.status().ToString();
}

// Memory under NCCL's kernels is given back after the abort only: the stand-in would complain.
template <typename Reduction>
void ExpectFaultsReported() {
  const auto expect = [](const testing::GpuFaults& faults, const std::string& text) {
    CudaStandIn machine(3);
    machine.faults(1) = faults;
    const auto results = OnGpus(3, RunOnce<Reduction>, milliseconds(50));
    EXPECT_THAT(results[1], HasSubstr(text));
    EXPECT_THAT(results, Each(HasSubstr("dense gradients of step 3")));
    EXPECT_EQ(machine.aborted(), 3);
    EXPECT_THAT(machine.Complaints(), IsEmpty());
  };
  expect({.is_silent = true}, "deadline exceeded: ");
  expect({.stream_polls = kNever}, "deadline exceeded: ");
  expect({.taken_polls = kNever}, "deadline exceeded: ");
  expect({.failing_group = 0, .failure = ncclRemoteError}, "unavailable: ");
  expect({.failing_group = 0, .failure = ncclSystemError}, "unavailable: ");
  expect({.failing_group = 0, .failure = ncclInternalError}, "internal: ");
}

TEST(NcclReductionTest, ReportsFaults) { ExpectFaultsReported<NcclReduction>(); }
TEST(NcclAllReduceTest, ReportsFaults) { ExpectFaultsReported<NcclAllReduce>(); }

TEST(NcclReductionTest, ReportsAFaultOfTheSecondExchange) {
  CudaStandIn machine(2);
  machine.faults(1) = {.failing_group = 1, .failure = ncclRemoteError};
  const auto results = OnGpus(2, RunOnce<NcclReduction>, milliseconds(50));
  EXPECT_THAT(results[0], StartsWith("deadline exceeded: dense gradients of step 3"));
  EXPECT_THAT(results[1], StartsWith("unavailable: dense gradients of step 3"));
  EXPECT_EQ(machine.aborted(), 2);
  EXPECT_THAT(machine.Complaints(), IsEmpty());
}

TEST(NcclReductionTest, AbortsNcclWhereAKernelFails) {
  CudaStandIn machine(2);
  machine.faults(0).kernel_error = cudaErrorIllegalAddress;
  const auto results = OnGpus(2, RunOnce<NcclReduction>, milliseconds(50));
  EXPECT_THAT(results[0], HasSubstr("adding on the GPU: CUDA: an illegal memory access"));
  EXPECT_EQ(machine.aborted(), 2);
  EXPECT_THAT(machine.Complaints(), IsEmpty());
}

TEST(NcclReductionTest, SaysThatMemoryIsMissing) {
  CudaStandIn machine(1);
  machine.faults(0).memory_bytes = 100;
  EXPECT_THAT(OnGpus(1, RunOnce<NcclReduction>)[0], HasSubstr("out of memory"));
  EXPECT_THAT(OnGpus(1, RunOnce<NcclAllReduce>)[0], HasSubstr("out of memory"));
  EXPECT_THAT(machine.Complaints(), IsEmpty());
}

}  // namespace
}  // namespace dcn::comm
