#include "launch/sweep/progress.h"

#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dcn::sweep {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(ProgressTest, WritesDurations) {
  EXPECT_EQ(FormatDuration(-1), "0:00");
  EXPECT_EQ(FormatDuration(0), "0:00");
  EXPECT_EQ(FormatDuration(0.2), "0:01");
  EXPECT_EQ(FormatDuration(59.5), "1:00");
  EXPECT_EQ(FormatDuration(61), "1:01");
  EXPECT_EQ(FormatDuration(3600), "1:00:00");
  EXPECT_EQ(FormatDuration(36061), "10:01:01");
}

TEST(ProgressTest, WritesCounts) {
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(999.4), "999");
  EXPECT_EQ(FormatCount(1000), "1,000");
  EXPECT_EQ(FormatCount(123456), "123,456");
  EXPECT_EQ(FormatCount(1234567), "1,234,567");
  EXPECT_EQ(FormatCount(-123456), "-123,456");
  EXPECT_EQ(FormatCount(-1234), "-1,234");
}

TEST(ProgressTest, EstimatesByTheMeanPaceOverTheSlots) {
  EXPECT_LT(EstimateSecondsLeft({.done = 0, .total = 4}), 0);  // nothing known
  EXPECT_EQ(EstimateSecondsLeft({.done = 4, .total = 4, .mean_run_seconds = 10}), 0);
  EXPECT_DOUBLE_EQ(EstimateSecondsLeft({.done = 1, .total = 5, .mean_run_seconds = 10, .slots = 1}),
                   40);
  EXPECT_DOUBLE_EQ(EstimateSecondsLeft({.done = 1, .total = 5, .mean_run_seconds = 10, .slots = 2}),
                   20);
  // Two runs under way, 6 s old together.
  EXPECT_DOUBLE_EQ(
      EstimateSecondsLeft(
          {.done = 1, .total = 5, .mean_run_seconds = 10, .running_seconds = 6, .slots = 2}),
      17);
  // One run left uses one slot only.
  EXPECT_DOUBLE_EQ(EstimateSecondsLeft({.done = 4, .total = 5, .mean_run_seconds = 10, .slots = 8}),
                   10);
}

TEST(ProgressTest, SaysWhatARunThatFinishedAchieved) {
  const FinishedLine run = {"dcn", 2, 0.93441, 312345, 4.8};
  EXPECT_EQ(FormatFinished(run, {.done = 3, .total = 15, .mean_run_seconds = 5, .slots = 2}, 5),
            "[ 3/15] dcn    seed 2   RMSE 0.9344    312,345 rows/s  0:05  about 0:30 left");
  EXPECT_THAT(FormatFinished(run, {.done = 15, .total = 15, .mean_run_seconds = 5}, 5),
              Not(HasSubstr("left")));
}

TEST(ProgressTest, CutsTheLiveLineToTheTerminal) {
  const std::vector<RunningRun> running = {{"dcn", 2, 11.5}, {"dnn", 1, 3}};
  const Standing standing = {.done = 3, .total = 15, .mean_run_seconds = 10, .slots = 2};
  EXPECT_EQ(FormatLive(running, standing, 200),
            "[3/15] about 1:00 left; running dcn seed 2 (0:12), dnn seed 1 (0:03)");
  for (const std::size_t columns : {0U, 1U, 3U, 10U, 40U}) {
    EXPECT_LE(FormatLive(running, standing, columns).size(), std::max<std::size_t>(columns, 3));
  }
  EXPECT_EQ(FormatLive(running, {.done = 0, .total = 2}, 20), "[0/2] running dcn...");
}

TEST(ProgressTest, ClearsTheLiveLineBeforeALine) {
  char* text = nullptr;
  std::size_t size = 0;
  std::FILE* file = ::open_memstream(&text, &size);
  ASSERT_NE(file, nullptr);
  {
    ProgressDisplay display(file, file);
    EXPECT_TRUE(display.has_live_line());
    EXPECT_EQ(display.columns(), 80U);
    display.ShowLive("going");
    display.Print("done");
    display.Print("again");
    display.ShowLive("end");
  }
  std::fclose(file);
  EXPECT_EQ(std::string(text, size), "\r\x1b[Kgoing\r\x1b[Kdone\nagain\n\r\x1b[Kend\r\x1b[K");
  std::free(text);
}

}  // namespace
}  // namespace dcn::sweep
