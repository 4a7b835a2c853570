#include "common/net/pulse.h"

#include <algorithm>

namespace dcn::net {
namespace {

// Looks within the shorter of the two times. More of them tell a process that did not run from one
// that did more sharply, and wake it more often.
constexpr int kLooks = 4;

}  // namespace

Pulse::Pulse(const Heartbeat& heartbeat, TimePoint now)
    : heartbeat_(heartbeat),
      look_interval_(std::chrono::nanoseconds(std::min(heartbeat.interval, heartbeat.silence)) /
                     kLooks),
      last_look_(now),
      owed_since_(now + heartbeat.interval) {}

Pulse::Action Pulse::Look(TimePoint received_at, TimePoint sent_at, TimePoint now) {
  owed_since_ = std::max(owed_since_, received_at + heartbeat_.interval);
  const auto unwatched = now - last_look_ - look_interval_;
  last_look_ = now;
  if (unwatched > look_interval_ && owed_since_ < now) {
    owed_since_ = std::min(now, owed_since_ + unwatched);
  }
  if (now >= gives_up_at()) return Action::kGiveUp;
  // The next look may be too late.
  const bool is_due = now + look_interval_ > sent_at + heartbeat_.interval;
  return is_due ? Action::kSendHeartbeat : Action::kNone;
}

Pulse::TimePoint Pulse::next_look() const {
  return std::min(last_look_ + look_interval_, std::max(last_look_, gives_up_at()));
}

}  // namespace dcn::net
