#include "worker/export/result.h"

#include <cmath>
#include <limits>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/ordinary_user.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::output {
namespace {

namespace fs = std::filesystem;
using ::dcn::testing::AsOrdinaryUser;
using ::dcn::testing::ReadText;
using ::dcn::testing::TemporaryFolder;
using ::dcn::testing::WriteText;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

json Configuration() {
  return {{"batch_size", 8192},
          {"learning_rate", 0.01},
          {"optimizer", {{"name", "adam"}, {"epsilon", 1e-7}}},
          {"model", {{"deep", {192, 192}}, {"cross", json::array()}}}};
}

/// A result in which no two fields of one kind are alike.
RunResult Example() {
  RunResult result;
  result.model = "dcn-lowrank";
  result.seed = std::numeric_limits<std::uint64_t>::max();
  result.test_rmse = 0.1 + 0.2;  // needs all 17 digits
  result.train_seconds = 1.5;
  result.wall_seconds = 2.25;
  result.startup_seconds = 0.125;
  result.train_rows_per_second = 1e6 / 3;
  result.steps = 184;
  result.epochs = {{1.25, 0.7}, {0.9, 0.8}};
  result.loss_curve = {{1, 13.9}, {92, 1.1}, {184, 0.85}};
  result.parameter_count = 505'249;
  result.parameter_digest = "99aa06d3014798d86001c324468d497f";
  result.workers = 3;
  result.servers = 4;
  result.threads = 2;
  result.precision = "fp32";
  result.engine = "onednn";
  result.slice_rows = 512;
  result.peak_rss_bytes = 123'456'789;
  result.bytes_sent = 11;
  result.bytes_received = 12;
  result.data = {"ml-1m", 1'000'209, 750'156, 250'052, std::nullopt};
  result.configuration = Configuration();
  result.machine = {"a \"fast\" one", 16, 1ULL << 37};
  result.versions = {{"dcn", "0.1.0"}, {"compiler", "GNU 12.2.0"}};
  return result;
}

TEST(ResultTest, ReadsWhatItWrote) {
  const TemporaryFolder folder;
  RunResult result = Example();
  for (const bool is_synthetic : {false, true}) {
    if (is_synthetic) result.data.noise_floor_rmse = 0.85;
    ASSERT_TRUE(WriteResult(folder.path(), result).ok());
    const auto read = ReadResult(folder.path() / kResultFile);
    ASSERT_TRUE(read.ok()) << read.status().ToString();
    EXPECT_EQ(*read, result);
    EXPECT_EQ(folder.EntryCount(), 1U);
  }
}

TEST(ResultTest, WritesTheFieldsUnderTheirNames) {
  const json document = ToJson(Example());
  EXPECT_EQ(document["model"], "dcn-lowrank");
  EXPECT_EQ(document["epochs"][1]["train_loss"], 0.9);
  EXPECT_EQ(document["epochs"][1]["seconds"], 0.8);
  EXPECT_EQ(document["loss_curve"], json({{1, 13.9}, {92, 1.1}, {184, 0.85}}));
  EXPECT_EQ(document["data"]["test_rows"], 250'052);
  EXPECT_FALSE(document["data"].contains("noise_floor_rmse"));
  EXPECT_EQ(document["machine"]["cores"], 16);
  EXPECT_EQ(document["configuration"]["optimizer"]["epsilon"], 1e-7);
  EXPECT_EQ(document["versions"]["dcn"], "0.1.0");
}

TEST(ResultTest, WhatIsNotANumberStandsAsNull) {
  RunResult result = Example();
  result.test_rmse = std::numeric_limits<double>::quiet_NaN();
  result.loss_curve[0].loss = std::numeric_limits<double>::infinity();
  const std::string text = ToJson(result).dump();
  EXPECT_THAT(text, HasSubstr("\"test_rmse\":null"));
  const auto read = ParseResult(text, "result.json");
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_TRUE(std::isnan(read->test_rmse));
  EXPECT_TRUE(std::isnan(read->loss_curve[0].loss));
}

TEST(ResultTest, IgnoresFieldsThatItDoesNotKnow) {
  json document = ToJson(Example());
  document["later"] = {1, 2};
  document["data"]["later"] = "x";
  const auto read = ParseResult(document.dump(), "result.json");
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(*read, Example());
}

TEST(ResultTest, NamesEachMissingField) {
  const json whole = ToJson(Example());
  for (const auto& [field, value] : whole.items()) {
    json document = whole;
    document.erase(field);
    const auto read = ParseResult(document.dump(), "a/result.json");
    if (field == "startup_seconds") {  // not in older files
      ASSERT_TRUE(read.ok()) << read.status().ToString();
      EXPECT_FALSE(read->startup_seconds.has_value());
      continue;
    }
    EXPECT_EQ(read.status().code(), StatusCode::kDataLoss) << field;
    EXPECT_EQ(read.status().message(), "a/result.json: " + field + ": this field is missing");
  }
}

TEST(ResultTest, NamesTheFieldOfAWrongKind) {
  const struct {
    const char* pointer;
    json value;
    const char* message;
  } cases[] = {
      {"/model", 3, "r: model: expected a text, found 3"},
      {"/steps", -1, "r: steps: expected an integer, 0 or above, found -1"},
      {"/steps", 1.5, "r: steps: expected an integer, 0 or above, found 1.5"},
      {"/workers", 1ULL << 31, "r: workers: expected an integer from 0 to 2147483647"},
      {"/test_rmse", "low", "r: test_rmse: expected a number or null, found \"low\""},
      {"/epochs", 3, "r: epochs: expected an array"},
      {"/epochs/1", 3, "r: epochs[1]: expected an object"},
      {"/epochs/1/seconds", "x", "r: epochs[1].seconds: expected a number"},
      {"/loss_curve/2", {1}, "r: loss_curve[2]: expected [step, loss]"},
      {"/loss_curve/2/0", 0.5, "r: loss_curve[2][0]: expected an integer"},
      {"/configuration", {1}, "r: configuration: expected an object, found array"},
      {"/versions/dcn", 1, "r: versions.dcn: expected a text"},
      {"/data", nullptr, "r: data: expected an object, found null"},
      {"/data/rows", "many", "r: data.rows: expected an integer"},
      {"", 5, "r: expected an object, found 5"},
  };
  for (const auto& [pointer, value, message] : cases) {
    json document = ToJson(Example());
    document[json::json_pointer(pointer)] = value;
    const auto read = ParseResult(document.dump(), "r");
    EXPECT_EQ(read.status().code(), StatusCode::kDataLoss) << pointer;
    EXPECT_THAT(read.status().message(), StartsWith(message));
  }
}

TEST(ResultTest, TruncatedFilesAreFound) {
  const std::string text = ToJson(Example()).dump(2);
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_EQ(ParseResult(text.substr(0, size), "r").status().code(), StatusCode::kDataLoss);
  }
}

TEST(ResultTest, AMissingFileIsNotFound) {
  const TemporaryFolder folder;
  EXPECT_EQ(ReadResult(folder.path() / kResultFile).status().code(), StatusCode::kNotFound);
}

TEST(CheckOutputTest, CreatesTheFolder) {
  const TemporaryFolder folder;
  const fs::path output = folder.path() / "a" / "b";
  const Status status = CheckOutput(output, Configuration());
  EXPECT_TRUE(status.ok()) << status.ToString();
  EXPECT_TRUE(fs::is_empty(output));
  EXPECT_TRUE(CheckOutput(output, Configuration()).ok());
}

TEST(CheckOutputTest, TakesAFolderOfTheSameConfiguration) {
  const TemporaryFolder folder;
  ASSERT_TRUE(WriteResult(folder.path(), Example()).ok());
  const Status status = CheckOutput(folder.path(), Configuration());
  EXPECT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(*ReadResult(folder.path() / kResultFile), Example());
}

TEST(CheckOutputTest, NamesWhatDiffersWithBothValues) {
  const TemporaryFolder folder;
  ASSERT_TRUE(WriteResult(folder.path(), Example()).ok());
  const struct {
    const char* pointer;
    json value;
    const char* message;
  } cases[] = {
      {"/learning_rate", 0.02, "(learning_rate: 0.01 there, 0.02 now)"},
      {"/optimizer/name", "sgd", "(optimizer.name: \"adam\" there, \"sgd\" now)"},
      {"/optimizer", "sgd",
       "(optimizer: {\"epsilon\":1e-07,\"name\":\"adam\"} there, \"sgd\" now)"},
      {"/model/deep", {192}, "(model.deep: [192,192] there, [192] now)"},
      {"/model/cross", {1}, "(model.cross: [] there, [1] now)"},
      {"/epochs", 2, "(epochs: absent there, 2 now)"},
  };
  for (const auto& [pointer, value, message] : cases) {
    json configuration = Configuration();
    configuration[json::json_pointer(pointer)] = value;
    const Status status = CheckOutput(folder.path(), configuration);
    EXPECT_EQ(status.code(), StatusCode::kAlreadyExists) << pointer;
    EXPECT_THAT(status.message(), AllOf(HasSubstr(folder.path().string()), HasSubstr(message),
                                        HasSubstr("choose another output folder")));
  }
  json less = Configuration();
  less.erase("batch_size");
  EXPECT_THAT(CheckOutput(folder.path(), less).message(),
              HasSubstr("(batch_size: 8192 there, absent now)"));
}

TEST(CheckOutputTest, NamesTheFirstDifferencesOnly) {
  const TemporaryFolder folder;
  RunResult result = Example();
  result.configuration.clear();
  json configuration = json::object();
  for (int i = 0; i < 7; ++i) {
    result.configuration["field" + std::to_string(i)] = i;
    configuration["field" + std::to_string(i)] = -i - 1;
  }
  ASSERT_TRUE(WriteResult(folder.path(), result).ok());
  const Status status = CheckOutput(folder.path(), configuration);
  EXPECT_THAT(status.message(),
              AllOf(HasSubstr("field0: 0 there, -1 now; field1"), HasSubstr("field3: 3 there"),
                    Not(HasSubstr("field4")), HasSubstr("; and 3 more)")));
}

TEST(CheckOutputTest, RefusesADamagedResult) {
  const TemporaryFolder folder;
  for (const char* text : {"", "{", "{}", "[]", "null"}) {
    WriteText(folder.path() / kResultFile, text);
    const Status status = CheckOutput(folder.path(), Configuration());
    EXPECT_EQ(status.code(), StatusCode::kAlreadyExists) << text;
    EXPECT_THAT(status.message(), HasSubstr("holds a result that cannot be read"));
    EXPECT_EQ(ReadText(folder.path() / kResultFile), text);
  }
}

TEST(CheckOutputTest, NamesAFolderThatCannotBeWritten) {
  const TemporaryFolder folder;
  WriteText(folder.path() / "file", "x");
  for (const fs::path& path : {folder.path() / "file", folder.path() / "file" / "below"}) {
    const Status status = CheckOutput(path, Configuration());
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << status.ToString();
    EXPECT_THAT(status.message(), AllOf(HasSubstr(path.string()), HasSubstr("Not a directory")));
  }
  fs::create_directory(folder.path() / "closed");
  fs::permissions(folder.path() / "closed", fs::perms(0555));
  fs::permissions(folder.path(), fs::perms(0755));
  const AsOrdinaryUser user;
  const Status status = CheckOutput(folder.path() / "closed", Configuration());
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("Permission denied"));
}

}  // namespace
}  // namespace dcn::output
