#include "worker/export/trace_file.h"

#include <chrono>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/testing/temporary_folder.h"

namespace dcn::output {
namespace {

using std::chrono::microseconds;
using testing::ReadText;
using testing::TemporaryFolder;

const TraceEvent::TimePoint kOrigin{std::chrono::seconds(1000)};

Trace SmallTrace(int delay_us) {
  Trace trace({"thread 0", "shard 0"}, 1);
  const auto begin = kOrigin + microseconds(delay_us);
  trace.Add(0, {.name = "slice", .step = 3, .begin = begin, .end = begin + microseconds(5)});
  trace.Add(0, {.name = "late", .step = 4, .begin = begin, .end = begin});
  return trace;
}

TEST(TraceFileTest, HasAProcessForEachRankAndARowForEachLane) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "trace.json";
  const std::vector<std::string> ranks = {TraceText(SmallTrace(10), kOrigin),
                                          TraceText(SmallTrace(-2), kOrigin)};
  ASSERT_EQ(WriteChromeTrace(path, ranks).ToString(), "ok");
  const auto file = nlohmann::json::parse(ReadText(path));
  std::vector<nlohmann::json> events;
  std::vector<std::string> names;
  for (const nlohmann::json& event : file["traceEvents"]) {
    if (event["ph"] == "X") events.push_back(event);
    if (event["name"] == "process_name" || event["name"] == "thread_name") {
      names.push_back(event["args"]["name"]);
    }
  }
  EXPECT_EQ(names, (std::vector<std::string>{"rank 0", "thread 0", "shard 0", "rank 1", "thread 0",
                                             "shard 0"}));
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0], nlohmann::json::parse(R"({"ph": "X", "pid": 0, "tid": 0, "name": "slice",
                                      "ts": 10.0, "dur": 5.0, "args": {"step": 3}})"));
  EXPECT_EQ(events[1]["pid"], 1);
  EXPECT_EQ(events[1]["ts"], -2.0);
  EXPECT_EQ(file["otherData"]["events_left_out"], 2);
}

TEST(TraceFileTest, RefusesATextThatIsNoTrace) {
  const TemporaryFolder folder;
  for (const char* text : {"", "{}", "{\"lanes\": [{}], \"left_out\": 0}"}) {
    const std::vector<std::string> ranks = {text};
    EXPECT_EQ(WriteChromeTrace(folder.path() / "t", ranks).code(), StatusCode::kDataLoss) << text;
  }
  EXPECT_EQ(folder.EntryCount(), 0U);
}

}  // namespace
}  // namespace dcn::output
