#include "launch/sweep/sweep_record.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/launch/fixture_sweep.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::sweep {
namespace {

using testing::FixtureRecord;
using ::testing::HasSubstr;

TEST(SweepRecordTest, ComesBackFromItsFile) {
  const testing::TemporaryFolder folder;
  const SweepRecord record = FixtureRecord({5, 1});
  ASSERT_TRUE(WriteSweepRecord(record, folder.path()).ok());
  const Result<SweepRecord> back = ReadSweepRecord(folder.path());
  ASSERT_TRUE(back.ok()) << back.status().ToString();
  EXPECT_EQ(back->experiment, record.experiment);
  EXPECT_EQ(back->title, record.title);
  EXPECT_EQ(back->data.source, record.data.source);
  EXPECT_EQ(back->data.name, record.data.name);
  EXPECT_EQ(back->data.fingerprint, record.data.fingerprint);
  EXPECT_EQ(back->data.rows, record.data.rows);
  EXPECT_EQ(back->seeds, record.seeds);
  EXPECT_EQ(back->variants, record.variants);
}

TEST(SweepRecordTest, NamesAFileThatIsNoRecord) {
  const testing::TemporaryFolder folder;
  EXPECT_EQ(ReadSweepRecord(folder.path()).status().code(), StatusCode::kNotFound);
  for (const char* text : {"", "{", "[]", "{}", R"({"format": 2})", R"({"format": 1})",
                           R"({"format": 1, "experiment": 3})"}) {
    testing::WriteText(folder.path() / "sweep.json", text);
    const Result<SweepRecord> record = ReadSweepRecord(folder.path());
    ASSERT_FALSE(record.ok()) << text;
    EXPECT_EQ(record.status().code(), StatusCode::kDataLoss) << text;
    EXPECT_THAT(record.status().message(), HasSubstr("sweep.json")) << text;
  }
}

TEST(SweepRecordTest, GrowsBySeedsAndVariants) {
  SweepRecord recorded = FixtureRecord({1, 2});
  recorded.variants.pop_back();  // "deep"
  SweepRecord now = FixtureRecord({2, 3});
  now.variants.erase(now.variants.begin());  // "full"
  now.title = "Another title";
  now.data.source = "elsewhere/ml-1m";
  ASSERT_TRUE(MergeSweepRecord(now, recorded).ok());
  EXPECT_EQ(recorded.seeds, (std::vector<std::uint64_t>{1, 2, 3}));
  EXPECT_EQ(recorded.variants, FixtureRecord({}).variants);
  EXPECT_EQ(recorded.title, "Another title");
  EXPECT_EQ(recorded.data.source, "elsewhere/ml-1m");
}

TEST(SweepRecordTest, RefusesAnotherExperimentAndNamesTheField) {
  struct Change {
    const char* field;
    const char* values;
    void (*apply)(SweepRecord&);
  };
  const Change changes[] = {
      {"name is", "fixture there and other here", [](SweepRecord& r) { r.experiment = "other"; }},
      {"data is", "ml-1m there and synthetic here",
       [](SweepRecord& r) { r.data.name = "synthetic"; }},
      {"number of ratings in the data", "1000209 there and 7 here",
       [](SweepRecord& r) { r.data.rows = 7; }},
      {"fingerprint of the data", "there and ffff here",
       [](SweepRecord& r) { r.data.fingerprint = "ffff"; }},
      {"variant stacked, epochs", "2 there and 3 here",
       [](SweepRecord& r) { r.variants[1].options["epochs"] = 3; }},
      {"variant full, optimizer", "not set there and \"sgd\" here",
       [](SweepRecord& r) { r.variants[0].options["optimizer"] = "sgd"; }},
      {"variant deep, learning-rate", "0.01 there and not set here",
       [](SweepRecord& r) { r.variants[2].options.erase("learning-rate"); }},
      {"variant full, model", "there and \"dcn\" here",
       [](SweepRecord& r) { r.variants[0].options["model"] = "dcn"; }},
  };
  for (const Change& change : changes) {
    SweepRecord recorded = FixtureRecord({1});
    SweepRecord now = FixtureRecord({1, 2});
    change.apply(now);
    const Status status = MergeSweepRecord(now, recorded);
    EXPECT_EQ(status.code(), StatusCode::kAlreadyExists) << change.field;
    EXPECT_THAT(status.message(), HasSubstr(change.field));
    EXPECT_THAT(status.message(), HasSubstr(change.values));
    EXPECT_EQ(recorded.seeds, (std::vector<std::uint64_t>{1}));  // unchanged
  }
}

}  // namespace
}  // namespace dcn::sweep
