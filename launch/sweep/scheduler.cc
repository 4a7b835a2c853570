#include "launch/sweep/scheduler.h"

#include "common/check.h"

namespace dcn::sweep {

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

std::optional<std::size_t> Scheduler::StartNext() {
  if (stopping_ || running_count_ >= slots_ || waiting_.empty()) return std::nullopt;
  const std::size_t run = waiting_.front();
  waiting_.pop_front();
  runs_[run].is_running = true;
  ++running_count_;
  return run;
}

Verdict Scheduler::Finish(std::size_t run, const ProcessExit& exit) {
  DCN_CHECK_LT(run, runs_.size());
  DCN_CHECK(runs_[run].is_running);
  runs_[run].is_running = false;
  --running_count_;
  if (exit.signal == 0 && exit.code == 0) {
    ++done_count_;
    return Verdict::kDone;
  }
  if (stopping_) return Verdict::kStopped;
  if (exit.signal != 0 && runs_[run].restarts < max_restarts_) {
    ++runs_[run].restarts;
    waiting_.push_front(run);
    return Verdict::kRestart;
  }
  stopping_ = true;
  return Verdict::kFailed;
}

}  // namespace dcn::sweep
