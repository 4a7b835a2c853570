#include "common/thread_pool.h"

#include <algorithm>
#include <sched.h>
#include <utility>

#include "common/check.h"
#include "common/floating_point.h"

namespace dcn {
namespace {

// About 50 microseconds of spinning: longer than the gaps between the phases of a step, short
// enough not to take a shared core from others for long.
constexpr int kSpins = 2000;

inline void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Waits until `value` differs from `old`: spins first, then sleeps.
std::uint32_t AwaitChange(const std::atomic<std::uint32_t>& value, std::uint32_t old) {
  for (int spin = 0; spin < kSpins; ++spin) {
    const std::uint32_t now = value.load(std::memory_order_acquire);
    if (now != old) return now;
    Pause();
  }
  value.wait(old, std::memory_order_acquire);
  return value.load(std::memory_order_acquire);
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  DCN_CHECK_GE(threads, 1);
  FlushDenormalsToZero();
  workers_.reserve(static_cast<std::size_t>(threads - 1));
  for (int thread = 1; thread < threads; ++thread) {
    workers_.emplace_back([this, thread] { WorkerLoop(thread); });
  }
}

ThreadPool::~ThreadPool() {
  stopping_.store(true, std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::Run(std::size_t count, Call call, void* body) {
  if (count == 0) return;
  call_ = call;
  body_ = body;
  count_ = count;
  next_index_.store(0, std::memory_order_relaxed);
  const bool alone = workers_.empty() || count == 1;
  if (!alone) {
    busy_workers_.store(static_cast<std::uint32_t>(workers_.size()), std::memory_order_relaxed);
    generation_.fetch_add(1, std::memory_order_release);
    generation_.notify_all();
  }
  TakeIndices(0);
  if (!alone) {
    std::uint32_t busy = busy_workers_.load(std::memory_order_acquire);
    while (busy != 0) busy = AwaitChange(busy_workers_, busy);
  }
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void ThreadPool::WorkerLoop(int thread) {
  FlushDenormalsToZero();
  std::uint32_t seen = 0;
  while (true) {
    seen = AwaitChange(generation_, seen);
    if (stopping_.load(std::memory_order_relaxed)) return;
    TakeIndices(thread);
    if (busy_workers_.fetch_sub(1, std::memory_order_acq_rel) == 1) busy_workers_.notify_one();
  }
}

void ThreadPool::TakeIndices(int thread) {
  try {
    for (std::size_t i = next_index_.fetch_add(1, std::memory_order_relaxed); i < count_;
         i = next_index_.fetch_add(1, std::memory_order_relaxed)) {
      call_(body_, thread, i);
    }
  } catch (...) {
    RecordError();
  }
}

void ThreadPool::RecordError() {
  next_index_.store(count_, std::memory_order_relaxed);  // nobody starts another index
  const std::lock_guard lock(error_mutex_);
  if (!error_) error_ = std::current_exception();
}

int AvailableProcessors() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof(mask), &mask) != 0) return 1;
  return std::max(1, CPU_COUNT(&mask));
}

}  // namespace dcn
