// Run by mpirun: the same claims as in one process, over MPI. Each rank runs every test; a failure
// on any rank fails the program on all of them.

#include "worker/communicator/mpi.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mpi.h>

#include "tests/testing/communicator_claims.h"
#include "worker/communicator/collectives.h"

namespace dcn::comm {
namespace {

MpiSession* session = nullptr;  // of main
bool is_session_lost = false;   // an exchange has failed

// Which of MPI's calls fails next, on this rank; once.
enum class FailingCall { kNone, kReceive, kTest, kPart };
FailingCall failing_call = FailingCall::kNone;

bool Fails(FailingCall call) {
  if (failing_call != call) return false;
  failing_call = FailingCall::kNone;
  return true;
}

// What `claim` finds wrong on any rank, with the rank's number.
template <typename Claim>
std::string OnAllRanks(const Claim& claim) {
  const std::string wrong = claim(*session);
  const auto all = AllGatherText(*session, wrong, "results of a test");
  if (!all.ok()) return all.status().message();
  std::string text;
  for (std::size_t rank = 0; rank < all->size(); ++rank) {
    if (!(*all)[rank].empty()) text += "rank " + std::to_string(rank) + ": " + (*all)[rank] + "\n";
  }
  return text;
}

TEST(MpiSessionTest, ExchangesPieces) { EXPECT_EQ(OnAllRanks(testing::CheckExchange), ""); }

TEST(MpiSessionTest, GathersAndBroadcastsTexts) { EXPECT_EQ(OnAllRanks(testing::CheckTexts), ""); }

TEST(MpiSessionTest, GathersRanges) { EXPECT_EQ(OnAllRanks(testing::CheckAllGatherRanges), ""); }

TEST(MpiSessionTest, SumsInTheTreesOrder) {
  for (const std::uint32_t full_leaves : {1U, 5U, 16U}) {
    for (const std::size_t count : {0U, 1U, 3U, 112'000U}) {
      if (count > 1000 && full_leaves == 5) continue;  // two of the big ones are enough
      EXPECT_EQ(OnAllRanks([&](Communicator& communicator) {
                  return testing::CheckOrderedReduction(communicator, full_leaves, count);
                }),
                "");
    }
  }
}

// What an exchange comes to whose `call` fails on all ranks.
std::string CheckLostExchange(Communicator& communicator, FailingCall call) {
  const auto ranks = static_cast<std::size_t>(communicator.size());
  const std::vector<std::byte> sent(8);
  std::vector<std::byte> received(8 * ranks);
  const std::vector<SendPiece> send(ranks, sent);
  std::vector<ReceivePiece> receive;
  for (std::size_t q = 0; q < ranks; ++q) receive.push_back(std::span(received).subspan(8 * q, 8));
  failing_call = call;
  const Status status = communicator.Exchange(send, receive, "step 7 of a test");
  failing_call = FailingCall::kNone;
  if (status.code() != StatusCode::kUnavailable) return "not unavailable: " + status.ToString();
  const bool names_all = status.message().starts_with("step 7 of a test") &&
                         status.message().find(": MPI: ") != std::string::npos;
  return names_all ? "" : status.message();
}

TEST(MpiSessionTest, NamesItsLibrary) {
  EXPECT_THAT(MpiSession::LibraryVersion(), ::testing::HasSubstr("MPI"));
}

TEST(MpiSessionTest, StartsOnce) {
  const auto again = MpiSession::Start(std::chrono::milliseconds(1));
  EXPECT_THAT(again.status().message(), ::testing::HasSubstr("already started"));
}

// A lost collective is a lost peer, and runs that are supervised begin anew after one. It is a
// session's last exchange, so this test is the last, and each number of ranks loses another call.
TEST(MpiSessionEndTest, CallsAnExchangeThatMpiLosesUnavailable) {
  const int ranks = session->size();
  if (ranks == 1) return;  // exchanges nothing over MPI
  is_session_lost = true;
  const std::vector<FailingCall> calls = {FailingCall::kReceive, FailingCall::kTest,
                                          FailingCall::kPart};
  EXPECT_EQ(CheckLostExchange(*session, calls[static_cast<std::size_t>(ranks - 2) % calls.size()]),
            "");
}

}  // namespace
}  // namespace dcn::comm

// MPI's own calls, by way of its profiling interface, but for those that shall fail. What has begun
// is waited for: MPI's end finds nothing of it.

int MPI_Irecv(void* to, int count, MPI_Datatype type, int from, int tag, MPI_Comm comm,
              MPI_Request* request) {
  if (dcn::comm::Fails(dcn::comm::FailingCall::kReceive)) return MPI_ERR_OTHER;
  return PMPI_Irecv(to, count, type, from, tag, comm, request);
}

int MPI_Testsome(int count, MPI_Request requests[], int* ended, int indices[],
                 MPI_Status statuses[]) {
  if (dcn::comm::Fails(dcn::comm::FailingCall::kTest)) {
    PMPI_Waitall(count, requests, MPI_STATUSES_IGNORE);
    return MPI_ERR_OTHER;
  }
  if (dcn::comm::Fails(dcn::comm::FailingCall::kPart)) {
    PMPI_Waitall(count, requests, MPI_STATUSES_IGNORE);
    *ended = 1;
    indices[0] = 0;
    statuses[0].MPI_ERROR = MPI_ERR_OTHER;
    return MPI_ERR_IN_STATUS;
  }
  return PMPI_Testsome(count, requests, ended, indices, statuses);
}

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  auto started = dcn::comm::MpiSession::Start(std::chrono::seconds(60));
  if (!started.ok()) {
    std::fprintf(stderr, "%s\n", started.status().message().c_str());
    return 1;
  }
  dcn::comm::session = started->get();
  const int failed = RUN_ALL_TESTS();
  const bool is_good = failed == 0 && ::testing::UnitTest::GetInstance()->test_to_run_count() > 0;
  if (dcn::comm::is_session_lost) {  // it would abort the job, whatever the tests found
    MPI_Finalize();
    std::_Exit(is_good ? 0 : 1);
  }
  return is_good ? 0 : 1;
}
