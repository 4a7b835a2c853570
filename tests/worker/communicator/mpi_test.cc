// Run by mpirun: the same claims as in one process, over MPI. Each rank runs every test; a failure
// on any rank fails the program on all of them.

#include "worker/communicator/mpi.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/communicator_claims.h"
#include "worker/communicator/collectives.h"

namespace dcn::comm {
namespace {

MpiSession* session = nullptr;  // of main

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

TEST(MpiSessionTest, KnowsItsHost) {
  EXPECT_EQ(session->ranks_on_host(), session->size());
  EXPECT_THAT(MpiSession::LibraryVersion(), ::testing::HasSubstr("MPI"));
}

TEST(MpiSessionTest, StartsOnce) {
  const auto again = MpiSession::Start(std::chrono::milliseconds(1));
  EXPECT_THAT(again.status().message(), ::testing::HasSubstr("already started"));
}

}  // namespace
}  // namespace dcn::comm

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  auto started = dcn::comm::MpiSession::Start(std::chrono::seconds(60));
  if (!started.ok()) {
    std::fprintf(stderr, "%s\n", started.status().message().c_str());
    return 1;
  }
  dcn::comm::session = started->get();
  const int failed = RUN_ALL_TESTS();
  return failed != 0 || ::testing::UnitTest::GetInstance()->test_to_run_count() == 0 ? 1 : 0;
}
