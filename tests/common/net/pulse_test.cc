#include "common/net/pulse.h"

#include <optional>

#include <gtest/gtest.h>

namespace dcn::net {
namespace {

using namespace std::chrono_literals;
using Action = Pulse::Action;
using TimePoint = Pulse::TimePoint;

class PulseTest : public ::testing::Test {
 protected:
  // Looks whenever it is due, before `end`, at a peer whose last byte came at received_at_; when it
  // was given up, if it was.
  std::optional<TimePoint> LookUntil(TimePoint end) {
    while (pulse_.next_look() < end) {
      const TimePoint now = pulse_.next_look();
      if (Look(now) == Action::kGiveUp) return now;
    }
    return std::nullopt;
  }
  Action Look(TimePoint now) { return pulse_.Look(received_at_, now, now); }

  const TimePoint start_{1000s};
  Pulse pulse_{{.interval = 1000ms, .silence = 5000ms}, start_};
  TimePoint received_at_ = start_;
};

TEST_F(PulseTest, APeerIsDeadWhenItsHeartbeatIsOverdueByTheLimit) {
  for (const auto overdue : {-1000ms, 0ms, 4900ms, 4999ms, 5000ms, 5100ms}) {
    Pulse pulse({.interval = 1000ms, .silence = 5000ms}, start_);
    const TimePoint end = start_ + 1000ms + overdue;
    while (pulse.next_look() < end) {
      ASSERT_NE(pulse.Look(start_, end, pulse.next_look()), Action::kGiveUp) << overdue.count();
      if (overdue > 5000ms && pulse.next_look() >= start_ + 6000ms) break;
    }
    EXPECT_EQ(pulse.Look(start_, end, end) == Action::kGiveUp, overdue >= 5000ms)
        << overdue.count();
  }
}

TEST_F(PulseTest, APeerThatStopsIsGivenUpAfterFiveToSixSeconds) {
  for (const auto since_last_byte : {0ms, 1ms, 333ms, 999ms, 1000ms}) {
    Pulse pulse({.interval = 1000ms, .silence = 5000ms}, start_);
    const TimePoint stopped = start_ + since_last_byte;
    TimePoint now = start_;
    while (pulse.Look(start_, now, now) != Action::kGiveUp) now = pulse.next_look();
    EXPECT_GE(now - stopped, 5s);
    EXPECT_LE(now - stopped, 6s);
  }
}

TEST_F(PulseTest, AByteJustInTimeKeepsThePeerAlive) {
  EXPECT_FALSE(LookUntil(start_ + 6000ms));
  received_at_ = start_ + 5999ms;
  EXPECT_EQ(LookUntil(start_ + 1h), start_ + 11'999ms);
}

TEST_F(PulseTest, AByteTooLateDoesNot) { EXPECT_EQ(LookUntil(start_ + 1h), start_ + 6000ms); }

TEST_F(PulseTest, APeerThatTricklesStaysAlive) {
  for (; received_at_ < start_ + 10min; received_at_ += 5900ms) {
    ASSERT_FALSE(LookUntil(received_at_ + 5900ms));
  }
}

TEST_F(PulseTest, TimeThatThisProcessDidNotRunDoesNotCount) {
  EXPECT_FALSE(LookUntil(start_ + 4001ms));  // the last look at 4 s
  EXPECT_NE(Look(start_ + 24s), Action::kGiveUp) << "stopped for 20 s";
  // 250 ms of the gap were its own, and 3 s before; 1.75 s are left.
  EXPECT_EQ(LookUntil(start_ + 1h), start_ + 25'750ms);
}

TEST_F(PulseTest, AGapCountsInFavourOfThePeerUpToNowOnly) {
  received_at_ = start_ + 21s;  // during the gap
  EXPECT_NE(Look(start_ + 23s), Action::kGiveUp);
  EXPECT_EQ(LookUntil(start_ + 1h), start_ + 28s);
}

TEST_F(PulseTest, LooksThatComeALittleLateStillCount) {
  TimePoint now = start_;
  while (Look(now) != Action::kGiveUp) now = pulse_.next_look() + 200ms;  // of 250 ms
  EXPECT_LE(now, start_ + 6200ms);
}

TEST_F(PulseTest, SendsAHeartbeatOnceAnIntervalWhereNothingElseIsSent) {
  TimePoint sent_at = start_;
  int beats = 0;
  for (TimePoint now = start_; now < start_ + 100s; now = pulse_.next_look()) {
    const Action action = pulse_.Look(now, sent_at, now);
    ASSERT_NE(action, Action::kGiveUp);
    EXPECT_LE(now - sent_at, 1000ms);
    if (action != Action::kSendHeartbeat) continue;
    EXPECT_GT(now - sent_at, 750ms);
    sent_at = now;
    ++beats;
  }
  EXPECT_GE(beats, 99);
  EXPECT_LE(beats, 134);
}

TEST_F(PulseTest, SendsNoHeartbeatWhereSomethingElseIsSent) {
  for (TimePoint now = start_; now < start_ + 100s; now = pulse_.next_look()) {
    EXPECT_EQ(pulse_.Look(now, now - 700ms, now), Action::kNone);
  }
}

TEST_F(PulseTest, AShortLimitIsKeptAsExactly) {
  Pulse pulse({.interval = 50ms, .silence = 7ms}, start_);
  TimePoint now = start_;
  while (pulse.Look(start_, now, now) != Action::kGiveUp) now = pulse.next_look();
  EXPECT_EQ(now, start_ + 57ms);
}

}  // namespace
}  // namespace dcn::net
