#include "launch/sweep/process_exit.h"

#include <csignal>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dcn::sweep {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(ProcessExitTest, MayPassAfterALostPeerOrMachineAndAfterSignalsOnly) {
  for (int code = 0; code < 256; ++code) {
    const bool is_signal = code > 128 && code <= 192;
    EXPECT_EQ(MayPass({.code = code, .signal = 0}), code == 4 || code == 205 || is_signal) << code;
  }
  for (const int signal : {SIGHUP, SIGKILL, SIGSEGV, SIGABRT, SIGTERM}) {
    EXPECT_TRUE(MayPass({.code = 0, .signal = signal}));
  }
}

TEST(ProcessExitTest, KnowsASignalThatMpirunReports) {
  EXPECT_EQ(KillingSignal({.code = 137, .signal = 0}), SIGKILL);
  EXPECT_EQ(KillingSignal({.code = 139, .signal = 0}), SIGSEGV);
  EXPECT_EQ(KillingSignal({.code = 0, .signal = SIGTERM}), SIGTERM);
  for (const int code : {0, 1, 6, 127, 128, 193, 255}) {
    EXPECT_EQ(KillingSignal({.code = code, .signal = 0}), 0) << code;
  }
}

TEST(ProcessExitTest, IsDescribedWithItsSignal) {
  EXPECT_EQ(DescribeExit({.code = 2, .signal = 0}), "ended with exit code 2");
  EXPECT_THAT(DescribeExit({.code = 205, .signal = 0}), HasSubstr("205: mpirun lost a machine"));
  EXPECT_THAT(DescribeExit({.code = 0, .signal = SIGKILL}), HasSubstr("was killed by signal 9 ("));
  EXPECT_THAT(DescribeExit({.code = 0, .signal = SIGKILL}), HasSubstr("fewer --slots"));
  EXPECT_THAT(DescribeExit({.code = 139, .signal = 0}),
              HasSubstr("ended with exit code 139: a process was killed by signal 11 ("));
  EXPECT_THAT(DescribeExit({.code = 139, .signal = 0}), Not(HasSubstr("--slots")));
}

TEST(ProcessExitTest, FailsWithTheExitCodeOrOneAfterASignal) {
  EXPECT_EQ(FailureCode({.code = 4, .signal = 0}), 4);
  EXPECT_EQ(FailureCode({.code = 205, .signal = 0}), 4);
  EXPECT_EQ(FailureCode({.code = 137, .signal = 0}), 1);
  EXPECT_EQ(FailureCode({.code = 0, .signal = 9}), 1);
}

}  // namespace
}  // namespace dcn::sweep
