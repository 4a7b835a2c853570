#include "common/clock.h"

#include <gtest/gtest.h>

namespace dcn {
namespace {

TEST(StopwatchTest, CountsSecondsForward) {
  const auto start = Stopwatch::Clock::now();
  const Stopwatch watch;
  double last = watch.seconds();
  EXPECT_GE(last, 0.0);
  while (watch.seconds() < 0.001) {
    EXPECT_GE(watch.seconds(), last);
    last = watch.seconds();
  }
  const double seconds = watch.seconds();
  const std::chrono::duration<double> outside = Stopwatch::Clock::now() - start;
  EXPECT_LE(seconds, outside.count());
  EXPECT_GE(seconds, 0.001);
}

TEST(StopwatchTest, RestartLosesNoTime) {
  const auto start = Stopwatch::Clock::now();
  Stopwatch watch;
  double sum = 0;
  for (int lap = 0; lap < 1000; ++lap) sum += watch.Restart();
  sum += watch.seconds();
  const std::chrono::duration<double> outside = Stopwatch::Clock::now() - start;
  EXPECT_GT(sum, 0.0);
  EXPECT_LE(sum, outside.count() + 1e-9);
}

}  // namespace
}  // namespace dcn
