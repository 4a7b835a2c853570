#include "launch/sweep/run_history.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace dcn::sweep {
namespace {

using nlohmann::json;

json Entry(const std::string& event, std::uint64_t seed) {
  return {{"event", event}, {"variant", "dcn"}, {"seed", seed}};
}

TEST(RunHistoryTest, GoesByTheLastEntryOfEachRun) {
  const std::vector<json> entries = {
      {{"event", "sweep started"}}, Entry("started", 1),   Entry("started", 2), Entry("started", 3),
      Entry("finished", 1),         Entry("restarted", 2), Entry("stopped", 3), Entry("started", 4),
      Entry("failed", 4),           Entry("started", 5),   Entry("started", 6), Entry("lost", 6),
      {{"event", "sweep ended"}}};
  const auto history = ReadRunHistory(entries);
  EXPECT_EQ(history.size(), 6U);
  EXPECT_EQ(history.at({"dcn", 1}).news, LastNews::kEnded);
  EXPECT_EQ(history.at({"dcn", 2}).news, LastNews::kLeft);
  EXPECT_EQ(history.at({"dcn", 3}).news, LastNews::kLeft);
  EXPECT_EQ(history.at({"dcn", 4}).news, LastNews::kLeft);
  EXPECT_EQ(history.at({"dcn", 5}).news, LastNews::kUnderWay);
  EXPECT_EQ(history.at({"dcn", 6}).news, LastNews::kLeft);
}

json With(json entry, const std::string& field, const json& value) {
  entry[field] = value;
  return entry;
}

TEST(RunHistoryTest, ARunWhoseScriptStartsItsWorkersAgainIsUnderWay) {
  const auto history = ReadRunHistory(
      {Entry("started", 1), With(Entry("restarted", 1), "by_script", true), Entry("started", 2),
       With(Entry("restarted", 2), "by_script", true), Entry("restarted", 2)});
  EXPECT_EQ(history.at({"dcn", 1}).news, LastNews::kUnderWay);
  EXPECT_EQ(history.at({"dcn", 2}).news, LastNews::kLeft);
}

TEST(RunHistoryTest, KnowsHowFarARunHadCome) {
  const json reached = With(Entry("restarted", 1), "last_step", 57U);
  const json unknown = With(Entry("restarted", 1), "last_step", nullptr);
  const auto last = [](const std::vector<json>& entries) {
    return ReadRunHistory(entries).at({"dcn", 1});
  };
  EXPECT_EQ(last({Entry("started", 1)}), (RunNews{LastNews::kUnderWay, 0, true}));
  EXPECT_EQ(last({reached}), (RunNews{LastNews::kLeft, 57, true}));
  EXPECT_EQ(last({reached, Entry("started", 1), Entry("stopped", 1)}),
            (RunNews{LastNews::kLeft, 57, true}));  // the last attempt took no step
  EXPECT_EQ(last({reached, unknown}), (RunNews{LastNews::kLeft, 57, false}));
  EXPECT_EQ(last({reached, With(unknown, "last_step_at_least", 60U)}),
            (RunNews{LastNews::kLeft, 60, false}));
  EXPECT_EQ(last({unknown, reached}), (RunNews{LastNews::kLeft, 57, true}));
  EXPECT_EQ(last({reached, Entry("failed", 1), Entry("started", 1)}),
            (RunNews{LastNews::kUnderWay, 57, true}));
  EXPECT_EQ(last({reached, Entry("not started", 1)}), (RunNews{LastNews::kLeft, 57, true}));
  EXPECT_EQ(last({reached, Entry("finished", 1), Entry("started", 1)}),
            (RunNews{LastNews::kUnderWay, 0, true}));
}

TEST(RunHistoryTest, PassesOverEntriesOfNoRun) {
  EXPECT_TRUE(ReadRunHistory({}).empty());
  EXPECT_TRUE(ReadRunHistory({json::object(),
                              {{"event", "started"}},
                              {{"event", "started"}, {"variant", 3}, {"seed", 1}},
                              {{"event", "started"}, {"variant", "dcn"}, {"seed", "1"}},
                              {{"variant", "dcn"}, {"seed", 1}}})
                  .empty());
}

}  // namespace
}  // namespace dcn::sweep
