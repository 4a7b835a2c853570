#include "ps/client/answer_box.h"

#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

namespace dcn::ps {

struct AnswerBox::State {
  void Put(std::uint64_t of_request, const Status& status, std::span<const std::byte> body) {
    const std::lock_guard lock(mutex);
    if (of_request != request) return;  // given up
    answer = status;
    if (status.ok() && take) answer = take(body);
    answered_at = std::chrono::steady_clock::now();
    has_answer.notify_one();
  }

  // From now on the answer to an earlier request is none.
  std::uint64_t Next(Taker next_take) {
    const std::lock_guard lock(mutex);
    answer.reset();
    take = std::move(next_take);
    return ++request;
  }

  std::mutex mutex;
  std::condition_variable has_answer;
  std::uint64_t request = 0;     // that is waited for; guarded by mutex, as what follows
  std::optional<Status> answer;  // to it
  TimePoint answered_at;         // when an answer came last
  Taker take;
};

AnswerBox::TimePoint AnswerBox::answered_at() const {
  const std::lock_guard lock(state_->mutex);
  return state_->answered_at;
}

AnswerBox::AnswerBox() : state_(std::make_shared<State>()) {}
AnswerBox::~AnswerBox() { state_->Next({}); }

AnswerHandler AnswerBox::Expect(Taker take) {
  const std::uint64_t request = state_->Next(std::move(take));
  return [state = state_, request](const Status& status, std::span<const std::byte> body) {
    state->Put(request, status, body);
  };
}

Status AnswerBox::Wait(TimePoint limit) {
  {
    std::unique_lock lock(state_->mutex);
    state_->has_answer.wait_until(lock, limit, [this] { return state_->answer.has_value(); });
    if (state_->answer) return *std::exchange(state_->answer, std::nullopt);
  }
  state_->Next({});
  return Status(StatusCode::kInternal, "a request was neither answered nor ended");
}

}  // namespace dcn::ps
