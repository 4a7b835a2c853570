#include "launch/job/agreement.h"

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/rank_threads.h"
#include "worker/communicator/collectives.h"
#include "worker/communicator/local.h"

namespace dcn::job {
namespace {

using ::testing::HasSubstr;

// What each of `ranks` ranks gets from agree(communicator, rank).
std::vector<Status> OnRanks(int ranks,
                            const std::function<Status(comm::Communicator&, int)>& agree) {
  comm::LocalGroup group(ranks, std::chrono::seconds(20));
  std::vector<Status> statuses(static_cast<std::size_t>(ranks));
  testing::RunRanks(ranks, [&](int rank) {
    statuses[static_cast<std::size_t>(rank)] = agree(group.communicator(rank), rank);
  });
  return statuses;
}

void ExpectAll(const std::vector<Status>& statuses, StatusCode code, const std::string& message) {
  for (const Status& status : statuses) {
    EXPECT_EQ(status.code(), code);
    EXPECT_EQ(status.message(), message);
  }
}

TEST(AgreeOnStatusTest, GoesOnWhereAllFaredWell) {
  for (const int ranks : {1, 2, 5}) {
    ExpectAll(OnRanks(ranks, [](auto& communicator,
                                int) { return AgreeOnStatus(communicator, Status(), "test"); }),
              StatusCode::kOk, "");
  }
}

TEST(AgreeOnStatusTest, NamesTheFirstRankThatFailed) {
  const auto statuses = OnRanks(4, [](auto& communicator, int rank) {
    const Status own =
        rank < 2 ? Status() : Error(StatusCode::kNotFound, "no folder \"\xFFx\" {}", rank);
    return AgreeOnStatus(communicator, own, "test");
  });
  for (const Status& status : statuses) {
    EXPECT_EQ(status.code(), StatusCode::kNotFound);
    EXPECT_TRUE(status.message().starts_with("rank 2: no folder")) << status.message();
  }
}

TEST(AgreeOnStatusTest, SaysOnceWhatAllSay) {
  for (const int ranks : {1, 3}) {
    ExpectAll(OnRanks(ranks,
                      [](auto& communicator, int) {
                        return AgreeOnStatus(communicator,
                                             Status(StatusCode::kInvalidArgument, "--epochs: 0"),
                                             "test");
                      }),
              StatusCode::kInvalidArgument, "--epochs: 0");
  }
}

TEST(AgreeOnStatusTest, CallsARankThatCannotBeReadUnavailable) {
  const auto statuses = OnRanks(3, [](auto& communicator, int rank) {
    if (rank != 1) return AgreeOnStatus(communicator, Status(), "test");
    return comm::AllGatherText(communicator, "nonsense", "test").status();
  });
  for (const std::size_t rank : {0U, 2U}) {
    EXPECT_EQ(statuses[rank].code(), StatusCode::kUnavailable);
    EXPECT_THAT(statuses[rank].message(), HasSubstr("test: rank 1 does not say"));
  }
}

TEST(AgreeOnValuesTest, TakesEqualValues) {
  ExpectAll(OnRanks(3,
                    [](auto& communicator, int) {
                      return AgreeOnValues(communicator, {{"seed", 1}, {"rate", .1}});
                    }),
            StatusCode::kOk, "");
}

TEST(AgreeOnValuesTest, NamesRankFieldAndBothValues) {
  const auto statuses = OnRanks(3, [](auto& communicator, int rank) {
    return AgreeOnValues(communicator,
                         {{"slice_rows", rank == 2 ? 256 : 512}, {"model", {{"name", "dcn"}}}});
  });
  for (const Status& status : statuses) {
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(status.message(), HasSubstr("slice_rows: 512 on rank 0, 256 on rank 2"));
  }
}

TEST(AgreeOnValuesTest, NamesFieldsWithinFieldsAndMissingOnes) {
  const auto statuses = OnRanks(2, [](auto& communicator, int rank) {
    nlohmann::json values = {{"data", {{"fingerprint", rank}}}};
    if (rank == 1) values["extra"] = true;
    return AgreeOnValues(communicator, values);
  });
  EXPECT_THAT(statuses[0].message(), HasSubstr("data.fingerprint: 0 on rank 0, 1 on rank 1"));
  EXPECT_THAT(statuses[0].message(), HasSubstr("extra: absent on rank 0, true on rank 1"));
}

}  // namespace
}  // namespace dcn::job
