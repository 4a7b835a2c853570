// Where a thread waits for the answer that another one brings.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "common/status.h"
#include "ps/client/request_multiplexer.h"

namespace dcn::ps {

/// One answer at a time. Thread safety: Expect and Wait come from one thread at a time, the
/// handlers from any.
class AnswerBox {
 public:
  using TimePoint = RequestMultiplexer::TimePoint;
  /// Takes a good answer; returns whether it makes sense.
  using Taker = std::function<Status(std::span<const std::byte> body)>;

  AnswerBox();
  /// What still comes is dropped.
  ~AnswerBox();
  AnswerBox(const AnswerBox&) = delete;
  AnswerBox& operator=(const AnswerBox&) = delete;

  /// Expects the answer to a new request, whose handler this is. It calls `take` (empty: none) as
  /// long as the answer is waited for: never once Wait has returned, nor after the destructor.
  [[nodiscard]] AnswerHandler Expect(Taker take);

  /// Waits for the answer: the status of the request, or of `take`. Requests end by their deadline;
  /// `limit` lies well behind it. kInternal: nothing has come by then, which is a bug.
  [[nodiscard]] Status Wait(TimePoint limit);

  /// When the last answer came that Wait returned.
  [[nodiscard]] TimePoint answered_at() const;

 private:
  struct State;
  const std::shared_ptr<State> state_;  // shared with the handlers, which may come late
};

}  // namespace dcn::ps
