// A fixed set of threads that run the parts of a loop side by side.
//
// Made for a training step: a few short parallel phases, thousands of times, so idle threads spin
// for some microseconds before they sleep. Which thread takes which index is decided at run time
// and must never show in a result.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace dcn {

/// Runs loops over `thread_count()` threads, the calling one among them.
/// Thread safety: ParallelFor is called from one thread at a time, never from inside a task.
class ThreadPool {
 public:
  /// threads: >= 1, including the caller's. Denormals are flushed to zero on every one of them,
  /// the constructing thread too.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  [[nodiscard]] int thread_count() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls body(thread, index) once for every index in [0, count), thread in [0, thread_count()),
  /// handing out indices in increasing order. Returns when all are done. The first exception that
  /// a call throws is thrown again here, after the others have ended. Allocates nothing.
  template <typename Body>
  void ParallelFor(std::size_t count, Body&& body) {
    using BodyType = std::remove_reference_t<Body>;
    Run(
        count,
        [](void* self, int thread, std::size_t index) {
          (*static_cast<BodyType*>(self))(thread, index);
        },
        const_cast<void*>(static_cast<const void*>(&body)));
  }

 private:
  using Call = void (*)(void* body, int thread, std::size_t index);

  void Run(std::size_t count, Call call, void* body);
  void WorkerLoop(int thread);
  void TakeIndices(int thread);
  void RecordError();

  // The current loop; written by Run before `generation_` announces it.
  Call call_ = nullptr;
  void* body_ = nullptr;
  std::size_t count_ = 0;

  alignas(64) std::atomic<std::size_t> next_index_{0};
  alignas(64) std::atomic<std::uint32_t> generation_{0};  // one more for each loop, and to stop
  alignas(64) std::atomic<std::uint32_t> busy_workers_{0};
  std::atomic<bool> stopping_{false};

  std::mutex error_mutex_;
  std::exception_ptr error_;  // guarded by error_mutex_

  std::vector<std::thread> workers_;
};

/// The number of processors this process may run on (its affinity mask), at least 1.
int AvailableProcessors();

}  // namespace dcn
