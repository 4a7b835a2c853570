#include "ps/server/job_desk.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <tuple>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dcn::ps {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

class JobDeskTest : public ::testing::Test {
 protected:
  static Hello Worker(std::uint32_t rank, std::uint32_t ranks, const std::string& job = "x") {
    return {.role = Role::kWorker, .rank = rank, .ranks = ranks, .job = job, .token = {}};
  }
  Result<JobDesk::Admission> Admit(std::uint32_t rank, std::uint32_t ranks, std::uint64_t epoch,
                                   ConnectionId connection, const std::string& job = "x") {
    return desk_.Admit(Worker(rank, ranks, job), epoch, connection);
  }
  std::string Refusal(std::uint32_t rank, std::uint32_t ranks, std::uint64_t epoch,
                      const std::string& job = "x") {
    return Admit(rank, ranks, epoch, 1000, job).status().ToString();
  }
  // Two ranks of epoch 3 of job x, on connections 10 and 11.
  void AdmitTwo() {
    ASSERT_TRUE(Admit(0, 2, 3, 10).ok());
    ASSERT_TRUE(Admit(1, 2, 3, 11).ok());
  }

  const JobDesk::TimePoint start_{100s};
  JobDesk desk_{{.reconnect_grace = 3s, .lease = 300s}};
};

TEST_F(JobDeskTest, TheFirstRankStartsTheEpochAndOthersJoin) {
  EXPECT_FALSE(desk_.is_held());
  const auto first = Admit(1, 2, 3, 11);
  ASSERT_TRUE(first.ok());
  EXPECT_TRUE(first->starts_epoch);
  const auto second = Admit(0, 2, 3, 10);
  ASSERT_TRUE(second.ok());
  EXPECT_FALSE(second->starts_epoch);
  EXPECT_EQ(second->replaces, 0U);
  EXPECT_TRUE(desk_.is_held());
  EXPECT_EQ(desk_.job(), "x");
  EXPECT_EQ(desk_.epoch(), 3U);
  EXPECT_EQ(desk_.ranks(), 2U);
  EXPECT_EQ(desk_.connected(), 2U);
  EXPECT_FALSE(desk_.next_deadline().has_value());
}

TEST_F(JobDeskTest, RefusesHellosThatNoWaitingCanHelp) {
  for (const auto& [rank, ranks, epoch] : {std::tuple{2U, 2U, 1U}, {0U, 0U, 1U}, {0U, 1U, 0U}}) {
    EXPECT_EQ(Admit(rank, ranks, epoch, 10).status().code(), StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(Admit(0, kMaxRanks + 1, 1, 10).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Admit(0, 1, 1, 10, "").status().code(), StatusCode::kInvalidArgument);
  EXPECT_FALSE(desk_.is_held());
  AdmitTwo();
  EXPECT_THAT(Refusal(0, 3, 3), HasSubstr("rank 0 says 3 ranks, other ranks said 2"));
}

TEST_F(JobDeskTest, AnEpochFarAboveAllBeforeDoesNotLockTheServer) {
  constexpr std::uint64_t kJump = std::uint64_t{1} << 32;
  for (const std::uint64_t epoch : {kMaxEpoch, kMaxEpoch - 1, kJump + 2}) {
    const Status refused = Admit(0, 1, epoch, 10).status();
    EXPECT_EQ(refused.code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(refused.message(),
                HasSubstr("epoch " + std::to_string(epoch) + " is too far above 0, the highest"));
  }
  EXPECT_FALSE(desk_.is_held());
  EXPECT_EQ(desk_.epoch(), 0U);
  AdmitTwo();
  desk_.OnDisconnected(10, start_);  // a higher epoch of the job may take over
  EXPECT_EQ(Admit(0, 2, 3 + kJump + 1, 12).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(desk_.epoch(), 3U);
  EXPECT_TRUE(Admit(0, 2, 3 + kJump, 12).ok());
  EXPECT_EQ(desk_.epoch(), 3 + kJump);
}

TEST_F(JobDeskTest, AServerThatHasSeenNothingTakesTheJobsOwnEpoch) {
  EXPECT_TRUE(Admit(0, 1, (std::uint64_t{1} << 32) + 1, 10).ok());
}

TEST_F(JobDeskTest, AnotherJobIsRefusedByName) {
  AdmitTwo();
  EXPECT_EQ(Refusal(0, 1, 4, "y"),
            "unavailable: busy with job 'x' (epoch 3, 2 of 2 ranks connected)");
  EXPECT_EQ(desk_.job(), "x");
}

TEST_F(JobDeskTest, TheJobEndsWhenAllRanksHaveEnded) {
  AdmitTwo();
  EXPECT_FALSE(desk_.End(10));
  EXPECT_FALSE(desk_.End(10));
  EXPECT_TRUE(desk_.is_held());
  desk_.OnDisconnected(10, start_);
  EXPECT_FALSE(desk_.Expire(start_ + 1000s).broken.has_value()) << "an ended rank is not lost";
  EXPECT_TRUE(desk_.End(11));
  EXPECT_FALSE(desk_.is_held());
  EXPECT_EQ(desk_.epoch(), 3U);
  EXPECT_TRUE(Admit(0, 1, 4, 12, "y").ok());
}

TEST_F(JobDeskTest, ARankMayAskAgainForTheEndOfAnEpochThatIsComplete) {
  AdmitTwo();
  (void)desk_.End(10);
  EXPECT_TRUE(desk_.End(11));
  const auto again = Admit(1, 2, 3, 12);  // the answer to its end was lost
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_FALSE(again->starts_epoch);
  EXPECT_FALSE(desk_.is_held());
  EXPECT_FALSE(desk_.End(12)) << "it has ended already";
  desk_.OnDisconnected(12, start_);
  EXPECT_FALSE(desk_.Expire(start_ + std::chrono::hours(1)).broken);
  EXPECT_THAT(Refusal(0, 3, 3), HasSubstr("rank 0 says 3 ranks, other ranks said 2"));
  EXPECT_TRUE(Admit(0, 1, 4, 13, "z").ok()) << "the next job need not wait";
  EXPECT_THAT(Refusal(1, 2, 3), HasSubstr("busy with job 'z'"));
}

TEST_F(JobDeskTest, AnEpochThatHasEndedDoesNotComeBackForOthers) {
  AdmitTwo();
  (void)desk_.End(10);
  (void)desk_.End(11);
  EXPECT_EQ(Refusal(0, 2, 2, "y"),
            "unavailable: epoch 2 of job 'y' is over: this server has seen epoch 3");
  EXPECT_TRUE(Admit(0, 2, 3, 12, "y").ok()) << "two jobs took the same number";
}

TEST_F(JobDeskTest, ACompleteEpochIsNotTakenOver) {
  AdmitTwo();
  EXPECT_THAT(Refusal(0, 2, 4),
              HasSubstr("busy with another run of job 'x' (epoch 3, 2 of 2 ranks connected"));
  (void)desk_.End(10);
  desk_.OnDisconnected(10, start_);
  EXPECT_THAT(Refusal(0, 2, 4), HasSubstr("busy with another run")) << "rank 1 still works";
}

TEST_F(JobDeskTest, AnotherRunOfTheSameJobAndEpochIsRefused) {
  Hello other = Worker(1, 2);
  other.run = 7;
  ASSERT_TRUE(Admit(0, 2, 3, 10).ok());
  const auto refused = desk_.Admit(other, 3, 20);
  EXPECT_EQ(refused.status().code(), StatusCode::kUnavailable);
  EXPECT_THAT(refused.status().message(), HasSubstr("started at the same time"));
  ASSERT_TRUE(Admit(1, 2, 3, 11).ok());
  EXPECT_FALSE(desk_.Admit(other, 3, 20).ok());
  other.rank = 0;
  EXPECT_FALSE(desk_.Admit(other, 3, 20).ok());
  EXPECT_EQ(desk_.connected(), 2U);
  // Nor does it come in for a rank that is lost, or once the epoch is broken or over.
  desk_.OnDisconnected(10, start_);
  EXPECT_FALSE(desk_.Admit(other, 3, 20).ok());
  ASSERT_TRUE(desk_.Expire(start_ + 4s).broken.has_value());
  EXPECT_FALSE(desk_.Admit(other, 3, 20).ok());
  const auto next = desk_.Admit(other, 4, 20);
  ASSERT_TRUE(next.ok());
  EXPECT_TRUE(next->starts_epoch);
}

TEST_F(JobDeskTest, AnotherRunDoesNotComeBackToAnEpochThatHasEnded) {
  AdmitTwo();
  desk_.End(10);
  desk_.End(11);
  Hello other = Worker(0, 2);
  other.run = 7;
  EXPECT_THAT(desk_.Admit(other, 3, 20).status().message(), HasSubstr("is over"));
}

TEST_F(JobDeskTest, AnEpochThatLacksARankIsTakenOver) {
  ASSERT_TRUE(Admit(0, 2, 3, 10).ok());  // rank 1 never came
  const auto next = Admit(1, 2, 4, 21);
  ASSERT_TRUE(next.ok());
  EXPECT_TRUE(next->starts_epoch);
  EXPECT_EQ(desk_.connected(), 1U);
  EXPECT_EQ(Refusal(0, 2, 3), "unavailable: epoch 3 of job 'x' is over: epoch 4 is running");

  ASSERT_TRUE(Admit(0, 2, 4, 20).ok());
  desk_.OnDisconnected(20, start_);  // lost, within its grace
  EXPECT_TRUE(Admit(0, 1, 5, 30).ok());
  EXPECT_EQ(desk_.ranks(), 1U);
}

TEST_F(JobDeskTest, ALostRankMayComeBackWithinTheGrace) {
  AdmitTwo();
  desk_.OnDisconnected(11, start_);
  EXPECT_EQ(desk_.next_deadline(), start_ + 3s);
  EXPECT_FALSE(desk_.Expire(start_ + 2999ms).broken.has_value());
  const auto back = Admit(1, 2, 3, 12);
  ASSERT_TRUE(back.ok());
  EXPECT_FALSE(back->starts_epoch);
  EXPECT_EQ(back->replaces, 0U);
  EXPECT_FALSE(desk_.next_deadline().has_value());
  EXPECT_FALSE(desk_.Expire(start_ + 1000s).broken.has_value());
}

TEST_F(JobDeskTest, ARankThatComesAgainReplacesItsConnection) {
  AdmitTwo();
  const auto again = Admit(1, 2, 3, 12);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->replaces, 11U);
  desk_.OnDisconnected(11, start_);  // the old one's end means nothing
  EXPECT_EQ(desk_.connected(), 2U);
  EXPECT_FALSE(desk_.next_deadline().has_value());
}

TEST_F(JobDeskTest, ALostRankBreaksTheEpochOnceAndTheLeaseEndsIt) {
  AdmitTwo();
  desk_.OnDisconnected(11, start_);
  const auto broken = desk_.Expire(start_ + 3s);
  ASSERT_TRUE(broken.broken.has_value());
  EXPECT_EQ(broken.broken->code(), StatusCode::kUnavailable);
  EXPECT_THAT(broken.broken->message(), HasSubstr("rank 1 of job 'x' was lost"));
  EXPECT_FALSE(broken.has_ended);
  EXPECT_FALSE(desk_.Expire(start_ + 4s).broken.has_value());
  EXPECT_TRUE(desk_.is_broken());
  EXPECT_FALSE(desk_.End(10));
  EXPECT_THAT(Refusal(1, 2, 3), HasSubstr("rank 1 of job 'x' was lost"));
  EXPECT_THAT(Refusal(0, 1, 4, "y"), HasSubstr("1 of 2 ranks connected, a rank was lost"));

  EXPECT_EQ(desk_.next_deadline(), start_ + 300s);
  EXPECT_FALSE(desk_.Expire(start_ + 299s).has_ended);
  EXPECT_TRUE(desk_.Expire(start_ + 300s).has_ended);
  EXPECT_FALSE(desk_.is_held());
  EXPECT_FALSE(desk_.next_deadline().has_value());
  EXPECT_TRUE(Admit(0, 1, 4, 20, "y").ok());
}

TEST_F(JobDeskTest, TheNextEpochTakesABrokenOneOverAtOnce) {
  AdmitTwo();
  desk_.OnDisconnected(11, start_);
  (void)desk_.Expire(start_ + 3s);
  const auto next = Admit(0, 2, 4, 20);
  ASSERT_TRUE(next.ok());
  EXPECT_TRUE(next->starts_epoch);
  EXPECT_FALSE(desk_.is_broken());
  EXPECT_FALSE(desk_.Expire(start_ + 1000s).has_ended) << "the old lease is void";
}

TEST_F(JobDeskTest, ATimeThatPassesUnwatchedBreaksAndEndsInOne) {
  AdmitTwo();
  desk_.OnDisconnected(11, start_);
  const auto expiry = desk_.Expire(start_ + 1000s);
  EXPECT_TRUE(expiry.broken.has_value());
  EXPECT_TRUE(expiry.has_ended);
}

TEST_F(JobDeskTest, TheFirstLossCounts) {
  AdmitTwo();
  desk_.OnDisconnected(11, start_);
  desk_.OnDisconnected(10, start_ + 1s);
  EXPECT_EQ(desk_.next_deadline(), start_ + 3s);
  EXPECT_THAT(desk_.Expire(start_ + 3s).broken->message(), HasSubstr("rank 1"));
}

TEST_F(JobDeskTest, ASilentRankBreaksTheEpochWithoutAGrace) {
  AdmitTwo();
  desk_.OnSilent(11, 5s, start_);
  EXPECT_EQ(desk_.connected(), 1U);
  EXPECT_EQ(desk_.next_deadline(), start_);
  const auto expiry = desk_.Expire(start_);
  ASSERT_TRUE(expiry.broken.has_value());
  EXPECT_EQ(expiry.broken->ToString(),
            "unavailable: rank 1 of job 'x' was lost: it was silent for 5 s (epoch 3)");
  desk_.OnDisconnected(11, start_ + 1s);  // the end of the connection that was closed
  EXPECT_THAT(Refusal(1, 2, 3), HasSubstr("silent for 5 s")) << "it cannot come back";
  EXPECT_EQ(desk_.next_deadline(), start_ + 300s);
  EXPECT_TRUE(desk_.Expire(start_ + 300s).has_ended);
}

TEST_F(JobDeskTest, ASilentRankComesBeforeOneThatWasLostEarlierWithinItsGrace) {
  AdmitTwo();
  desk_.OnDisconnected(10, start_);
  desk_.OnSilent(11, 5s, start_ + 1s);
  EXPECT_EQ(desk_.next_deadline(), start_ + 1s);
  EXPECT_THAT(desk_.Expire(start_ + 1s).broken->message(), HasSubstr("rank 1"));
}

TEST_F(JobDeskTest, OfTheRanksThatAreSilentAtOnceTheFirstIsNamed) {
  for (std::uint32_t rank = 0; rank < 4; ++rank) ASSERT_TRUE(Admit(rank, 4, 3, 10 + rank).ok());
  for (const ConnectionId connection : {13U, 11U, 12U}) desk_.OnSilent(connection, 300ms, start_);
  EXPECT_THAT(desk_.Expire(start_).broken->message(),
              HasSubstr("rank 1 of job 'x' was lost: it was silent for 0.3 s"));
  EXPECT_FALSE(desk_.Expire(start_ + 1s).broken.has_value());
  EXPECT_EQ(desk_.connected(), 1U);
}

TEST_F(JobDeskTest, ARankThatHasEndedMayBeSilent) {
  AdmitTwo();
  desk_.End(11);
  desk_.OnSilent(11, 5s, start_);
  EXPECT_FALSE(desk_.next_deadline().has_value());
  EXPECT_FALSE(desk_.Expire(start_ + 1000s).broken.has_value());
  EXPECT_TRUE(desk_.End(10));
}

TEST_F(JobDeskTest, TheSilenceOfAReplacedConnectionMeansNothing) {
  AdmitTwo();
  ASSERT_TRUE(Admit(1, 2, 3, 12).ok());
  desk_.OnSilent(11, 5s, start_);
  EXPECT_FALSE(desk_.next_deadline().has_value());
  EXPECT_EQ(desk_.connected(), 2U);
}

TEST_F(JobDeskTest, ARankThatWokeUpIsRefusedByTheNextEpochToo) {
  AdmitTwo();
  desk_.OnSilent(11, 5s, start_);
  (void)desk_.Expire(start_);
  ASSERT_TRUE(Admit(0, 2, 4, 20).ok());
  EXPECT_EQ(Refusal(1, 2, 3), "unavailable: epoch 3 of job 'x' is over: epoch 4 is running");
}

TEST_F(JobDeskTest, StrangersConnectionsMeanNothing) {
  desk_.OnDisconnected(5, start_);
  EXPECT_FALSE(desk_.End(5));
  AdmitTwo();
  desk_.OnDisconnected(5, start_);
  desk_.OnDisconnected(0, start_);
  EXPECT_FALSE(desk_.End(0));
  EXPECT_EQ(desk_.connected(), 2U);
  EXPECT_FALSE(desk_.next_deadline().has_value());
}

TEST_F(JobDeskTest, StopBreaksWhatIsHeld) {
  EXPECT_FALSE(desk_.Stop().has_value());
  AdmitTwo();
  const auto broken = desk_.Stop();
  ASSERT_TRUE(broken.has_value());
  EXPECT_THAT(broken->message(), HasSubstr("stopped during epoch 3 of job 'x'"));
  EXPECT_FALSE(desk_.Stop().has_value());
}

}  // namespace
}  // namespace dcn::ps
