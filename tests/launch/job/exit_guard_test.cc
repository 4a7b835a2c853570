#include "launch/job/exit_guard.h"

#include <cstdlib>
#include <thread>

#include <gtest/gtest.h>

namespace dcn::job {
namespace {

using namespace std::chrono_literals;

TEST(ExitGuardTest, EndsTheProcessWhenItsTimeIsOver) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        const ExitGuard guard(1ms, "dcn_worker: too late", 4);
        std::this_thread::sleep_for(60s);
      },
      ::testing::ExitedWithCode(4), "dcn_worker: too late");
}

TEST(ExitGuardTest, DoesNothingWhereItEndsInTime) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        { const ExitGuard guard(60s, "too late", 4); }
        std::_Exit(0);
      },
      ::testing::ExitedWithCode(0), "^$");
}

}  // namespace
}  // namespace dcn::job
