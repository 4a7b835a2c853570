// NCCL's communicator on a stand-in for CUDA and NCCL: its claims, and every fault that a GPU, NCCL
// or another rank may have.

#include "worker/communicator/nccl.h"

#include <functional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/communicator_claims.h"
#include "tests/testing/cuda_stand_in/cuda_stand_in.h"
#include "tests/testing/gpu_claims.h"
#include "worker/communicator/collectives.h"
#include "worker/communicator/nccl_device.h"

namespace dcn::comm {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using testing::CudaStandIn;
using ::testing::Each;
using testing::GpuFaults;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kNever;
using testing::OnGpus;
using ::testing::StartsWith;
using FailsWhen = GpuFaults::FailsWhen;

constexpr int kSizes[] = {1, 2, 3, 4, 7, 8};
constexpr milliseconds kShort{50};

// Every rank sends 4 bytes to every rank; what the exchange came to.
std::string ExchangeSmall(NcclCommunicator& communicator) {
  const auto ranks = static_cast<std::size_t>(communicator.size());
  auto out = GpuFloats::Make(GpuFloats::Place::kDevice, ranks);
  auto in = GpuFloats::Make(GpuFloats::Place::kDevice, ranks);
  if (!out.ok() || !in.ok()) return "no memory";
  std::vector<SendPiece> send;
  std::vector<ReceivePiece> receive;
  for (std::size_t q = 0; q < ranks; ++q) {
    send.push_back(std::as_bytes(out->span().subspan(q, 1)));
    receive.push_back(std::as_writable_bytes(in->span().subspan(q, 1)));
  }
  const Status status = communicator.Exchange(send, receive, "step 7 of a test");
  return status.ok() ? "" : status.ToString();
}

// As ExchangeSmall; afterwards the communicator must refuse to go on.
std::string ExchangeAndAsk(NcclCommunicator& communicator) {
  std::string text = ExchangeSmall(communicator);
  if (!text.empty() && communicator.Wait("asking again").code() != StatusCode::kUnavailable) {
    text += " (and goes on)";
  }
  return text;
}

TEST(NcclCommunicatorTest, ExchangesPiecesOnGpus) {
  for (const int ranks : kSizes) {
    CudaStandIn machine(ranks);
    EXPECT_THAT(OnGpus(ranks, testing::CheckGpuExchange), Each(""));
    EXPECT_THAT(machine.Complaints(), IsEmpty());
    EXPECT_EQ(machine.destroyed(), ranks);
    EXPECT_EQ(machine.aborted(), 0);
  }
}

// The claims of every communicator are about host memory, which the stand-in can be told to take.
TEST(NcclCommunicatorTest, HoldsToWhatEveryCommunicatorMust) {
  for (const int ranks : kSizes) {
    CudaStandIn machine(ranks);
    machine.CheckMemory(false);
    EXPECT_THAT(OnGpus(ranks, testing::CheckExchange), Each(""));
    EXPECT_THAT(OnGpus(ranks, testing::CheckTexts), Each(""));
    EXPECT_THAT(OnGpus(ranks, testing::CheckAllGatherRanges), Each(""));
    EXPECT_THAT(machine.Complaints(), IsEmpty());
  }
}

TEST(NcclCommunicatorTest, SumsInTheTreesOrderAsAnyCommunicator) {
  for (const int ranks : {2, 3}) {
    CudaStandIn machine(ranks);
    machine.CheckMemory(false);
    EXPECT_THAT(OnGpus(ranks,
                       [](NcclCommunicator& communicator) {
                         return testing::CheckOrderedReduction(communicator, 5, 4'100);
                       }),
                Each(""));
  }
}

TEST(NcclCommunicatorTest, IsPatientWithCallsInProgress) {
  CudaStandIn machine(3);
  for (int gpu = 0; gpu < 3; ++gpu) {
    machine.faults(gpu) = {.init_polls = 10 + 300 * gpu,
                           .taken_polls = 5 + 300 * gpu,
                           .stream_polls = 7,
                           .finalize_polls = 300};
  }
  EXPECT_THAT(OnGpus(3, testing::CheckGpuExchange), Each(""));
  EXPECT_THAT(machine.Complaints(), IsEmpty());
}

TEST(NcclCommunicatorTest, EndsASetupThatDoesNotEnd) {
  CudaStandIn machine(3);
  for (int gpu = 0; gpu < 3; ++gpu) machine.faults(gpu).init_polls = kNever;
  const auto results = OnGpus(3, ExchangeSmall, kShort);
  EXPECT_THAT(results, Each(HasSubstr("deadline exceeded: setting up NCCL: NCCL on rank")));
  EXPECT_THAT(results[1], HasSubstr("rank 0, 2"));
  EXPECT_THAT(results[1], HasSubstr("0.1 s"));
  EXPECT_EQ(machine.aborted(), 3);
  EXPECT_THAT(machine.Complaints(), IsEmpty());
}

TEST(NcclCommunicatorTest, EndsAnEndThatDoesNotEnd) {
  CudaStandIn machine(2);
  machine.faults(1).finalize_polls = kNever;
  const auto results = OnGpus(2, ExchangeSmall, kShort);
  EXPECT_EQ(results[0], "");
  EXPECT_THAT(results[1], HasSubstr("deadline exceeded: ending NCCL"));
  EXPECT_EQ(machine.aborted(), 1);
  EXPECT_EQ(machine.destroyed(), 1);
  EXPECT_THAT(machine.Complaints(), IsEmpty());
}

TEST(NcclCommunicatorTest, TellsAllRanksThatTheFirstHasNoAddress) {
  CudaStandIn machine(3);
  machine.faults(0).has_no_id = true;
  const auto results = OnGpus(3, ExchangeSmall);
  EXPECT_THAT(results[0], HasSubstr("unhandled system error"));
  EXPECT_THAT(results[1], AllOf(HasSubstr("unavailable"), HasSubstr("rank 0 has none")));
  EXPECT_THAT(results[2], HasSubstr("rank 0 has none"));
  EXPECT_THAT(machine.Complaints(), IsEmpty());
}

TEST(NcclCommunicatorTest, ReportsAnErrorWheneverItShows) {
  for (const FailsWhen when : {FailsWhen::kTaken, FailsWhen::kRunning, FailsWhen::kStreamDone}) {
    SCOPED_TRACE(static_cast<int>(when));
    CudaStandIn machine(1);
    machine.faults(0) = {.failing_group = 1, .failure = ncclInternalError, .fails_when = when};
    const auto results = OnGpus(1, [](NcclCommunicator& communicator) {
      auto gpu = GpuFloats::Make(GpuFloats::Place::kDevice, 2);
      if (!gpu.ok()) return gpu.status().message();
      const Status first = communicator.QueueSum(gpu->span(), {}, "the first sum");
      if (!first.ok()) return "too early: " + first.message();
      Status status = communicator.QueueSum(gpu->span(), {}, "the second sum");
      if (status.ok()) status = communicator.Wait("the second sum");
      if (communicator.Exchange(std::vector<SendPiece>(1), std::vector<ReceivePiece>(1), "more")
              .code() != StatusCode::kUnavailable) {
        return std::string("goes on after an error");
      }
      return status.ToString();
    });
    EXPECT_EQ(results[0],
              "internal: the second sum: NCCL: internal error: the stand-in was told to fail "
              "(rank 0 of 1)");
    EXPECT_EQ(machine.aborted(), 1);
    EXPECT_THAT(machine.Complaints(), IsEmpty());
  }
}

// A rank whose NCCL reports `failure` of another one, whenever it shows.
void ExpectUnavailable(ncclResult_t failure, const std::string& text) {
  for (const FailsWhen when : {FailsWhen::kTaken, FailsWhen::kRunning, FailsWhen::kStreamDone}) {
    SCOPED_TRACE(static_cast<int>(when));
    CudaStandIn machine(3);
    machine.faults(2) = {.failing_group = 0, .failure = failure, .fails_when = when};
    const auto results = OnGpus(3, ExchangeAndAsk, kShort);
    EXPECT_THAT(results[2], AllOf(StartsWith("unavailable: step 7 of a test: NCCL: " + text),
                                  HasSubstr("(rank 2 of 3)")));
    for (const int rank : {0, 1}) {  // who hear nothing
      EXPECT_THAT(results[static_cast<std::size_t>(rank)],
                  StartsWith("deadline exceeded: step 7 of a test"));
    }
    EXPECT_THAT(results, Each(::testing::Not(HasSubstr("goes on"))));
    EXPECT_EQ(machine.aborted(), 3);
    EXPECT_THAT(machine.Complaints(), IsEmpty());
  }
}

// Its ends of connections close: to the others that is mostly a failed call of the system.
TEST(NcclCommunicatorTest, CallsARankThatIsGoneUnavailable) {
  ExpectUnavailable(ncclRemoteError, "remote process exited");
  ExpectUnavailable(ncclSystemError, "unhandled system error");
}

TEST(NcclCommunicatorTest, EndsAWaitForARankThatSendsNothing) {
  CudaStandIn machine(3);
  machine.faults(1).is_silent = true;
  const auto results = OnGpus(3, ExchangeAndAsk, kShort);
  EXPECT_EQ(results[0],
            "deadline exceeded: step 7 of a test: NCCL on rank 0 was not done within 0.1 s; it "
            "takes part with rank 1, 2");
  EXPECT_THAT(results, Each(StartsWith("deadline exceeded: step 7 of a test")));
  EXPECT_EQ(machine.aborted(), 3);
  EXPECT_THAT(machine.Complaints(), IsEmpty());
}

TEST(NcclCommunicatorTest, EndsAWaitForARankThatDoesNotCome) {
  CudaStandIn machine(2);
  const auto results = OnGpus(
      2,
      [](NcclCommunicator& communicator) {
        return communicator.rank() == 1 ? std::string("elsewhere") : ExchangeAndAsk(communicator);
      },
      kShort);
  EXPECT_THAT(results[0], HasSubstr("takes part with rank 1"));
  EXPECT_EQ(machine.aborted(), 2) << "rank 1's too: it was not closed";
  EXPECT_THAT(machine.Complaints(), IsEmpty());
}

TEST(NcclCommunicatorTest, EndsAWaitForAStreamThatNeverEnds) {
  CudaStandIn machine(2);
  machine.faults(0).stream_polls = kNever;
  const auto results = OnGpus(2, ExchangeAndAsk, kShort);
  EXPECT_THAT(results, Each(StartsWith("deadline exceeded: step 7 of a test")));
  EXPECT_EQ(machine.aborted(), 2);
}

TEST(NcclCommunicatorTest, EndsAWaitForPiecesOfAnotherLength) {
  CudaStandIn machine(2);
  const auto results = OnGpus(
      2,
      [](NcclCommunicator& communicator) {
        auto gpu = GpuFloats::Make(GpuFloats::Place::kDevice, 8);
        if (!gpu.ok()) return gpu.status().message();
        const std::span<float> all = gpu->span();
        const bool is_first = communicator.rank() == 0;
        std::vector<SendPiece> send(2);
        std::vector<ReceivePiece> receive(2);
        if (is_first) send[1] = std::as_bytes(all.first(3));
        if (!is_first) receive[0] = std::as_writable_bytes(all.first(4));
        return communicator.Exchange(send, receive, "pieces").ToString();
      },
      kShort);
  EXPECT_THAT(results, Each(StartsWith("deadline exceeded: pieces: NCCL on rank")));
  EXPECT_THAT(machine.Complaints(), IsEmpty());
}

TEST(NcclCommunicatorTest, RefusesAnOwnPieceOfAnotherLength) {
  CudaStandIn machine(1);
  const auto results = OnGpus(1, [](NcclCommunicator& communicator) {
    auto gpu = GpuFloats::Make(GpuFloats::Place::kDevice, 8);
    if (!gpu.ok()) return gpu.status().message();
    const std::vector<SendPiece> send = {std::as_bytes(gpu->span().first(3))};
    const std::vector<ReceivePiece> receive = {std::as_writable_bytes(gpu->span().last(4))};
    return communicator.Exchange(send, receive, "pieces").ToString();
  });
  EXPECT_THAT(results[0], HasSubstr("rank 0 sent 12 bytes where rank 0 expected 16"));
  EXPECT_EQ(machine.aborted(), 1);
}

TEST(NcclCommunicatorTest, ReportsWhatCudaFinds) {
  CudaStandIn machine(1);
  const auto results = OnGpus(1, [](NcclCommunicator& communicator) {
    std::vector<float> host(4);  // no GPU's memory
    const std::span<float> all = host;
    const std::vector<SendPiece> send = {std::as_bytes(all.first(2))};
    const std::vector<ReceivePiece> receive = {std::as_writable_bytes(all.last(2))};
    return communicator.Exchange(send, receive, "pieces").ToString();
  });
  EXPECT_THAT(results[0], StartsWith("internal: pieces: CUDA: "));
  EXPECT_EQ(machine.aborted(), 1);
}

TEST(NcclCommunicatorTest, AbortsItselfAndTheRanks) {
  CudaStandIn machine(2);
  const auto results = OnGpus(2, [](NcclCommunicator& communicator) {
    communicator.Abort(4);
    return communicator.Wait("anything").ToString();
  });
  EXPECT_THAT(results, Each(HasSubstr("anything: NCCL has ended on rank")));
  EXPECT_EQ(machine.aborted(), 2);
}

TEST(NcclCommunicatorTest, NamesItsLibrary) {
  EXPECT_EQ(NcclCommunicator::LibraryVersion(), "2.27.3");
}

TEST(GpuChoiceTest, GivesEveryRankOfAHostAGpu) {
  CudaStandIn machine(4);
  for (int rank = 0; rank < 4; ++rank) {
    const auto gpu = ChooseGpu(rank, 4);
    ASSERT_TRUE(gpu.ok()) << gpu.status().ToString();
    EXPECT_EQ(*gpu, rank);
  }
}

TEST(GpuChoiceTest, RefusesMoreRanksThanGpus) {
  CudaStandIn machine(2);
  for (int rank = 0; rank < 3; ++rank) {  // all of them: none of them waits for the third
    const auto gpu = ChooseGpu(rank, 3);
    ASSERT_FALSE(gpu.ok());
    EXPECT_EQ(gpu.status().code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(gpu.status().message(), HasSubstr("3 workers on this host, 2 GPUs"));
  }
}

TEST(GpuChoiceTest, SaysThatThereIsNoGpu) {
  CudaStandIn machine(0);
  const auto gpu = ChooseGpu(0, 1);
  ASSERT_FALSE(gpu.ok());
  EXPECT_EQ(gpu.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(gpu.status().message(), HasSubstr("no CUDA-capable device is detected"));
}

TEST(GpuMemoryTest, SaysHowMuchIsMissing) {
  CudaStandIn machine(1);
  machine.faults(0).memory_bytes = 1000;
  const auto fits = GpuFloats::Make(GpuFloats::Place::kDevice, 250);
  EXPECT_TRUE(fits.ok());
  const auto memory = GpuFloats::Make(GpuFloats::Place::kDevice, 1);
  ASSERT_FALSE(memory.ok());
  EXPECT_EQ(memory.status().code(), StatusCode::kInternal);
  EXPECT_THAT(memory.status().message(), AllOf(HasSubstr("4 bytes"), HasSubstr("out of memory")));
}

}  // namespace
}  // namespace dcn::comm
