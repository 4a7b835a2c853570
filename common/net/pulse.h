// The heartbeats of one end of a connection: when to send one, and when the other end has been
// silent for too long.
//
// Both ends send something at least once an interval, a heartbeat where there is nothing else. Pure
// bookkeeping, without sockets or a clock: whoever owns the connection says what came and went, and
// what time it is. A process that did not run itself (stopped, swapped out, its machine asleep)
// cannot tell how long others were silent, so time during which nobody looked does not count.
#pragma once

#include <chrono>

namespace dcn::net {

/// The same for both ends of a connection. A peer that stops is found out `silence` later at the
/// earliest, and `interval` after that at the latest: by default after 5.0 to 5.8 s, which leaves
/// time to act on it within 6 s.
struct Heartbeat {
  std::chrono::milliseconds interval{800};  // the longest time without a byte of a peer that lives
  std::chrono::milliseconds silence{5000};  // beyond that: it is taken for dead
};

/// Thread safety: none; confined to its connection's thread.
class Pulse {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  enum class Action { kNone, kSendHeartbeat, kGiveUp };

  Pulse(const Heartbeat& heartbeat, TimePoint now);

  /// What there is to do. Called at next_look() or earlier; what comes much later did not run.
  /// received_at: when the last byte of the peer came; as good as a byte: a reason why none could.
  /// sent_at: when the last byte went to it; `now` where some are on their way.
  /// kGiveUp: the peer is silent.
  [[nodiscard]] Action Look(TimePoint received_at, TimePoint sent_at, TimePoint now);
  [[nodiscard]] TimePoint next_look() const;
  /// When the peer will be given up unless it is heard, as the last Look knew it.
  [[nodiscard]] TimePoint gives_up_at() const { return owed_since_ + heartbeat_.silence; }

 private:
  const Heartbeat heartbeat_;
  const std::chrono::nanoseconds look_interval_;
  TimePoint last_look_;
  TimePoint owed_since_;  // a sign of life of the peer; may lie ahead
};

}  // namespace dcn::net
