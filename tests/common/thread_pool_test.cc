#include "common/thread_pool.h"

#include <atomic>
#include <barrier>
#include <bit>
#include <cstddef>
#include <limits>
#include <stdexcept>
#include <vector>

#include <gtest/gtest.h>

#include "common/check.h"

namespace dcn {
namespace {

constexpr int kThreadCounts[] = {1, 2, 3, 5};

TEST(ThreadPoolTest, CallsEveryIndexOnce) {
  for (const int threads : kThreadCounts) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.thread_count(), threads);
    for (const std::size_t count : {0U, 1U, 7U, 1000U}) {
      std::vector<std::atomic<int>> calls(count);
      std::atomic<bool> thread_in_range{true};
      pool.ParallelFor(count, [&](int thread, std::size_t index) {
        if (thread < 0 || thread >= threads) thread_in_range = false;
        ++calls.at(index);
      });
      for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(calls[i], 1) << threads << ' ' << i;
      EXPECT_TRUE(thread_in_range);
    }
  }
}

TEST(ThreadPoolTest, EveryThreadTakesPart) {
  for (const int threads : kThreadCounts) {
    ThreadPool pool(threads);
    std::barrier together(threads);  // lets nobody take a second index before all have one
    std::vector<int> calls(static_cast<std::size_t>(threads));
    pool.ParallelFor(calls.size(), [&](int thread, std::size_t) {
      together.arrive_and_wait();
      ++calls[static_cast<std::size_t>(thread)];
    });
    EXPECT_EQ(calls, std::vector<int>(static_cast<std::size_t>(threads), 1));
  }
}

TEST(ThreadPoolTest, FinishesThousandsOfTinyLoops) {
  for (const int threads : kThreadCounts) {
    ThreadPool pool(threads);
    std::atomic<std::size_t> sum{0};
    for (int loop = 0; loop < 10'000; ++loop) {
      pool.ParallelFor(static_cast<std::size_t>(loop % 4),
                       [&](int, std::size_t index) { sum += index + 1; });
    }
    EXPECT_EQ(sum, 2500U * (0 + 1 + 3 + 6));
  }
}

TEST(ThreadPoolTest, AllCallsAreSeenWhenItReturns) {
  ThreadPool pool(3);
  std::vector<std::size_t> values(64);  // plain: written by the pool's threads, read by this one
  for (std::size_t loop = 0; loop < 200; ++loop) {
    pool.ParallelFor(values.size(), [&](int, std::size_t index) { values[index] += index; });
    for (std::size_t i = 0; i < values.size(); ++i) ASSERT_EQ(values[i], (loop + 1) * i);
  }
}

TEST(ThreadPoolTest, ThrowsTheBodysExceptionAndStaysUsable) {
  for (const int threads : kThreadCounts) {
    ThreadPool pool(threads);
    for (const std::size_t count : {1U, 2U, 7U, 1000U}) {
      for (const std::size_t bad : {std::size_t{0}, count / 2, count - 1}) {
        const auto body = [bad](int, std::size_t index) {
          if (index == bad) throw std::runtime_error("index refused");
        };
        EXPECT_THROW(pool.ParallelFor(count, body), std::runtime_error);
        std::atomic<std::size_t> calls{0};
        pool.ParallelFor(count, [&](int, std::size_t) { ++calls; });
        EXPECT_EQ(calls, count);
      }
    }
  }
}

TEST(ThreadPoolTest, ManyExceptionsEndAsOne) {
  ThreadPool pool(5);
  for (int loop = 0; loop < 100; ++loop) {
    EXPECT_THROW(pool.ParallelFor(50, [](int, std::size_t) { throw std::logic_error("bad"); }),
                 std::logic_error);
  }
  EXPECT_NO_THROW(pool.ParallelFor(50, [](int, std::size_t) {}));
}

#if defined(__SSE2__)
TEST(ThreadPoolTest, FlushesDenormalsOnEveryThread) {
  constexpr std::size_t kThreads = 5;
  ThreadPool pool(kThreads);
  std::barrier together(std::ptrdiff_t{kThreads});
  std::vector<float> products(kThreads, 1.0F);
  std::vector<float> sums(kThreads, 1.0F);
  pool.ParallelFor(kThreads, [&](int thread, std::size_t) {
    together.arrive_and_wait();  // one index for each thread
    volatile float smallest = std::numeric_limits<float>::min();
    volatile float denormal = std::bit_cast<float>(1U);
    products[static_cast<std::size_t>(thread)] = smallest * 0.5F;   // would be denormal
    sums[static_cast<std::size_t>(thread)] = denormal * 0x1p+100F;  // would be normal
  });
  EXPECT_EQ(products, std::vector<float>(kThreads, 0.0F));
  EXPECT_EQ(sums, std::vector<float>(kThreads, 0.0F));
}
#endif

TEST(ThreadPoolTest, NeedsAThread) { EXPECT_THROW(ThreadPool(0), CheckError); }

TEST(AvailableProcessorsTest, IsAtLeastOne) { EXPECT_GE(AvailableProcessors(), 1); }

}  // namespace
}  // namespace dcn
