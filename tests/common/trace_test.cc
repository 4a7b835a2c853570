#include "common/trace.h"

#include <gtest/gtest.h>

namespace dcn {
namespace {

TEST(TraceTest, KeepsWhatSpansLasted) {
  Trace trace({"a", "b"}, 10);
  const auto before = std::chrono::steady_clock::now();
  { const TraceSpan span(&trace, 1, "work", 7); }
  const auto after = std::chrono::steady_clock::now();
  EXPECT_TRUE(trace.events(0).empty());
  ASSERT_EQ(trace.events(1).size(), 1U);
  const TraceEvent& event = trace.events(1)[0];
  EXPECT_STREQ(event.name, "work");
  EXPECT_EQ(event.step, 7U);
  EXPECT_GE(event.begin, before);
  EXPECT_GE(event.end, event.begin);
  EXPECT_LE(event.end, after);
  EXPECT_EQ(trace.lane_name(1), "b");
}

TEST(TraceTest, CountsWhatDoesNotFit) {
  Trace trace({"a", "b"}, 2);
  for (int i = 0; i < 5; ++i) trace.Add(0, {.name = "x"});
  trace.Add(1, {.name = "x"});
  EXPECT_EQ(trace.events(0).size(), 2U);
  EXPECT_EQ(trace.events(1).size(), 1U);
  EXPECT_EQ(trace.left_out(), 3U);
}

TEST(TraceTest, SpansWithoutATraceDoNothing) { const TraceSpan span(nullptr, 99, "work", 1); }

}  // namespace
}  // namespace dcn
