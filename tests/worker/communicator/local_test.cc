#include "worker/communicator/local.h"

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/communicator_claims.h"
#include "tests/testing/rank_threads.h"
#include "worker/communicator/collectives.h"

namespace dcn::comm {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

constexpr int kSizes[] = {1, 2, 3, 4, 7, 8};

// Runs `body` on every rank of a group, each in a thread; what each returns.
std::vector<std::string> OnAllRanks(int ranks,
                                    const std::function<std::string(Communicator&)>& body,
                                    milliseconds timeout = milliseconds(60'000)) {
  LocalGroup group(ranks, timeout);
  std::vector<std::string> results(static_cast<std::size_t>(ranks));
  testing::RunRanks(ranks, [&](int rank) {
    results[static_cast<std::size_t>(rank)] = body(group.communicator(rank));
  });
  return results;
}

TEST(LocalGroupTest, ExchangesPieces) {
  for (const int ranks : kSizes) {
    for (const std::string& wrong : OnAllRanks(ranks, testing::CheckExchange)) EXPECT_EQ(wrong, "");
  }
}

TEST(LocalGroupTest, GathersAndBroadcastsTexts) {
  for (const int ranks : kSizes) {
    for (const std::string& wrong : OnAllRanks(ranks, testing::CheckTexts)) EXPECT_EQ(wrong, "");
  }
}

TEST(LocalGroupTest, GathersRanges) {
  for (const int ranks : kSizes) {
    for (const std::string& wrong : OnAllRanks(ranks, testing::CheckAllGatherRanges)) {
      EXPECT_EQ(wrong, "");
    }
  }
}

TEST(LocalGroupTest, SumsInTheTreesOrder) {
  for (const int ranks : kSizes) {
    for (const std::uint32_t full_leaves : {1U, 5U, 16U}) {
      for (const std::size_t count : {0U, 1U, 3U, 4'100U}) {
        for (const std::string& wrong : OnAllRanks(ranks, [&](Communicator& communicator) {
               return testing::CheckOrderedReduction(communicator, full_leaves, count);
             })) {
          ASSERT_EQ(wrong, "");
        }
      }
    }
  }
}

TEST(LocalGroupTest, SumsAWholeModel) {
  for (const int ranks : kSizes) {
    for (const std::string& wrong : OnAllRanks(ranks, [](Communicator& communicator) {
           return testing::CheckOrderedReduction(communicator, 3, 112'000);
         })) {
      EXPECT_EQ(wrong, "");
    }
  }
}

TEST(LocalGroupTest, NamesTheRankThatDoesNotCome) {
  const auto results = OnAllRanks(
      3,
      [](Communicator& communicator) {
        if (communicator.rank() == 1) return std::string();
        return Barrier(communicator, "barrier of a test").ToString();
      },
      milliseconds(50));
  for (const int rank : {0, 2}) {
    EXPECT_THAT(results[static_cast<std::size_t>(rank)],
                HasSubstr("barrier of a test: no answer from rank 1"));
    EXPECT_THAT(results[static_cast<std::size_t>(rank)], HasSubstr("deadline"));
  }
}

TEST(LocalGroupTest, EndsWaitsWhenARankGivesUp) {
  const auto results = OnAllRanks(3, [](Communicator& communicator) {
    if (communicator.rank() == 2) {
      communicator.Abort(4);
      return std::string();
    }
    return Barrier(communicator, "barrier of a test").ToString();
  });
  EXPECT_THAT(results[0], HasSubstr("another rank has given up"));
  EXPECT_THAT(results[1], HasSubstr("unavailable"));
}

TEST(LocalGroupTest, RefusesPiecesOfAnotherLength) {
  const auto results = OnAllRanks(2, [](Communicator& communicator) {
    std::vector<std::byte> bytes(8);
    const std::span<std::byte> all = bytes;
    const std::vector<SendPiece> send(2, all.first(communicator.rank() == 0 ? 3 : 4));
    std::vector<ReceivePiece> receive(2, all.first(4));
    receive[static_cast<std::size_t>(communicator.rank())] =
        all.first(communicator.rank() == 0 ? 3 : 4);
    return communicator.Exchange(send, receive, "pieces").ToString();
  });
  EXPECT_EQ(results[0], "ok");
  EXPECT_THAT(results[1], HasSubstr("rank 0 sent 3 bytes where rank 1 expected 4"));
}

TEST(SingleCommunicatorTest, IsAGroupOfOne) {
  SingleCommunicator communicator;
  EXPECT_EQ(testing::CheckExchange(communicator), "");
  EXPECT_EQ(testing::CheckTexts(communicator), "");
  EXPECT_EQ(testing::CheckOrderedReduction(communicator, 5, 77), "");
}

}  // namespace
}  // namespace dcn::comm
