// Memory for messages, used again when the last one who looks at them lets go: big blocks that are
// allocated anew come as fresh pages, which the system fills with zeros first.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "ps/message.h"

namespace dcn::ps {

/// A connection may still write a message that was answered (a repetition of it) or given up, so
/// who fills the next one cannot simply take the same memory. Holds as many bodies as were in use
/// at one time, of kMostKeptBytes together; none shrinks. Copies share their bodies.
/// Thread safety: all calls may come from any thread; bodies may outlive the pool.
class BodyPool {
 public:
  static constexpr std::size_t kMostKeptBytes = std::size_t{256} << 20;

  /// A body to be filled, with what an earlier message has left in it.
  [[nodiscard]] std::shared_ptr<Body> Take() {
    std::unique_ptr<Body> body = state_->Take();
    Body* const raw = body.release();
    return {raw, [state = state_](Body* used) { state->Put(std::unique_ptr<Body>(used)); }};
  }

  /// Bodies that wait to be taken.
  [[nodiscard]] std::size_t size() const {
    const std::lock_guard lock(state_->mutex);
    return state_->free.size();
  }

 private:
  struct State {
    std::unique_ptr<Body> Take() {
      const std::lock_guard lock(mutex);
      if (free.empty()) return std::make_unique<Body>();
      std::unique_ptr<Body> body = std::move(free.back());
      free.pop_back();
      free_bytes -= body->capacity();
      return body;
    }
    void Put(std::unique_ptr<Body> body) {
      const std::lock_guard lock(mutex);
      if (body->capacity() > kMostKeptBytes - free_bytes) return;
      free_bytes += body->capacity();
      free.push_back(std::move(body));
    }

    std::mutex mutex;
    std::vector<std::unique_ptr<Body>> free;  // guarded by mutex, as what follows
    std::size_t free_bytes = 0;               // their capacities
  };

  std::shared_ptr<State> state_ = std::make_shared<State>();  // shared with bodies in use
};

}  // namespace dcn::ps
