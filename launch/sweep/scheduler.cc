#include "launch/sweep/scheduler.h"

#include <algorithm>

#include "common/check.h"

namespace dcn::sweep {

std::chrono::milliseconds RestartDelay(int losses) {
  DCN_CHECK_GE(losses, 1);
  std::chrono::milliseconds delay{500};
  for (int k = 1; k < losses && delay < kLongestRestartDelay; ++k) delay *= 2;
  return std::min(delay, kLongestRestartDelay);
}

Scheduler::Scheduler(std::vector<bool> done, int slots, int max_restarts)
    : slots_(slots), max_restarts_(max_restarts), runs_(done.size()) {
  DCN_CHECK_GE(slots, 1);
  DCN_CHECK_GE(max_restarts, 0);
  for (std::size_t run = 0; run < done.size(); ++run) {
    if (done[run]) {
      ++done_count_;
    } else {
      waiting_.push_back(run);
    }
  }
}

std::optional<std::size_t> Scheduler::StartNext(Moment now) {
  if (stopping_ || running_count_ >= slots_) return std::nullopt;
  std::size_t run = 0;
  if (!delayed_.empty() && delayed_.front().until <= now) {
    run = delayed_.front().run;
    delayed_.erase(delayed_.begin());
  } else if (!waiting_.empty()) {
    run = waiting_.front();
    waiting_.pop_front();
  } else {
    return std::nullopt;
  }
  runs_[run].is_running = true;
  runs_[run].started = now;
  ++running_count_;
  return run;
}

Verdict Scheduler::Finish(std::size_t run, const ProcessExit& exit, Moment now) {
  Leave(run);
  if (exit == ProcessExit{}) {
    ++done_count_;
    return Verdict::kDone;
  }
  if (stopping_) return Verdict::kStopped;
  Run& lost = runs_[run];
  if (!MayPass(exit) || lost.restarts >= max_restarts_) {
    stopping_ = true;
    return Verdict::kFailed;
  }
  ++lost.restarts;
  lost.losses_in_a_row = now - lost.started >= kLongestRestartDelay ? 1 : lost.losses_in_a_row + 1;
  Delay(run, now + restart_delay(run), true);
  return Verdict::kRestart;
}

void Scheduler::Postpone(std::size_t run, Moment until, bool may_start) {
  Leave(run);
  Delay(run, until, may_start);
}

void Scheduler::Delay(std::size_t run, Moment until, bool may_start) {
  const auto place = std::find_if(delayed_.begin(), delayed_.end(),
                                  [until](const Delayed& other) { return other.until > until; });
  delayed_.insert(place, {until, run, may_start});
}

std::optional<Moment> Scheduler::next_start() const {
  if (stopping_ || running_count_ >= slots_ || delayed_.empty()) return std::nullopt;
  return delayed_.front().until;
}

void Scheduler::Leave(std::size_t run) {
  DCN_CHECK_LT(run, runs_.size());
  DCN_CHECK(runs_[run].is_running);
  runs_[run].is_running = false;
  --running_count_;
}

}  // namespace dcn::sweep
