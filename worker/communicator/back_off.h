// How a thread waits for something that only polling tells: eagerly first, then ever more
// patiently.
#pragma once

#include <chrono>
#include <thread>

namespace dcn::comm {

/// Polls until a wait has become long enough to look at the clock.
inline constexpr int kPollsYielding = 256;

/// What to do after `polls` polls in vain: nothing, give way, sleep a little, sleep longer. Never
/// spins for long: a thread that serves shards may need the processor.
inline void BackOff(int polls) {
  constexpr int kPollsAtOnce = 64;
  constexpr int kPollsShortSleep = 1024;
  constexpr std::chrono::microseconds kShortSleep{20};
  constexpr std::chrono::microseconds kLongSleep{500};
  if (polls < kPollsAtOnce) return;
  if (polls < kPollsYielding) return std::this_thread::yield();
  std::this_thread::sleep_for(polls < kPollsShortSleep ? kShortSleep : kLongSleep);
}

}  // namespace dcn::comm
