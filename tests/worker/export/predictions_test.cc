#include "worker/export/predictions.h"

#include <array>
#include <charconv>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/check.h"
#include "common/random.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::output {
namespace {

using ::dcn::testing::ReadText;
using ::dcn::testing::TemporaryFolder;

/// Ratings of `movies` and `users` alone; the other four features are not looked at.
data::Dataset MakeDataset(std::vector<std::string> movies, std::vector<std::string> users,
                          const std::vector<std::array<std::uint32_t, 2>>& pairs,
                          std::vector<float> labels) {
  struct Arrays {
    std::vector<std::uint32_t> ids;
    std::vector<float> labels;
  };
  auto arrays = std::make_shared<Arrays>();
  for (const auto& [movie, user] : pairs) {
    for (const std::uint32_t id : {movie, user, 0U, 0U, 0U, 0U}) arrays->ids.push_back(id);
  }
  arrays->labels = std::move(labels);
  std::vector<data::Vocabulary> vocabularies;
  for (const std::string_view feature : data::kMovieLensFeatures) {
    vocabularies.push_back({std::string(feature), false, {}});
  }
  vocabularies[data::kMovieFeature].values = std::move(movies);
  vocabularies[data::kUserFeature].values = std::move(users);
  const std::span<const std::uint32_t> ids = arrays->ids;
  const std::span<const float> ratings = arrays->labels;
  return {"test", std::move(vocabularies), ids, ratings, arrays, ""};
}

TEST(PredictionsTest, WritesTheRowsInTheGivenOrder) {
  const TemporaryFolder folder;
  const auto dataset =
      MakeDataset({"1193", "661"}, {"1", "6040"}, {{1, 1}, {2, 1}, {2, 2}, {0, 2}}, {5, 3, 4.5, 1});
  const std::vector<std::uint32_t> rows{2, 0, 3};
  const std::vector<float> predictions{3.5F, 0.1F, -1e-10F};
  const Status status =
      WritePredictions(folder.path() / kPredictionsFile, dataset, rows, predictions);
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(ReadText(folder.path() / kPredictionsFile),
            "user_id,movie_id,rating,prediction\n"
            "6040,661,4.5,3.5\n"
            "1,1193,5,0.1\n"
            "6040,,1,-1e-10\n");  // a movie out of vocabulary has no name
}

TEST(PredictionsTest, NoRowsGiveTheHeadAlone) {
  const TemporaryFolder folder;
  const auto dataset = MakeDataset({}, {}, {}, {});
  ASSERT_TRUE(WritePredictions(folder.path() / "file", dataset, {}, {}).ok());
  EXPECT_EQ(ReadText(folder.path() / "file"), "user_id,movie_id,rating,prediction\n");
}

TEST(PredictionsTest, QuotesWhatCsvRequires) {
  const TemporaryFolder folder;
  const auto dataset = MakeDataset({"a,b"}, {"say \"x\""}, {{1, 1}}, {2});
  const std::vector<std::uint32_t> rows{0};
  const std::vector<float> predictions{2.0F};
  ASSERT_TRUE(WritePredictions(folder.path() / "file", dataset, rows, predictions).ok());
  EXPECT_EQ(ReadText(folder.path() / "file"),
            "user_id,movie_id,rating,prediction\n\"say \"\"x\"\"\",\"a,b\",2,2\n");
}

// More than one buffer of output.
TEST(PredictionsTest, EveryPredictionReadsBackToTheSameFloat) {
  constexpr std::size_t kRows = 60'001;
  const TemporaryFolder folder;
  const auto dataset = MakeDataset({"1193"}, {"6040"}, {{1, 1}}, {4});
  const std::vector<std::uint32_t> rows(kRows, 0);
  std::vector<float> predictions(kRows);
  RandomStream(1, 2).FillUniform(5.0F, 0, predictions);
  ASSERT_TRUE(WritePredictions(folder.path() / "file", dataset, rows, predictions).ok());
  const std::string text = ReadText(folder.path() / "file");
  std::size_t at = text.find('\n') + 1;
  const std::string start = "6040,1193,4,";
  for (std::size_t i = 0; i < kRows; ++i) {
    ASSERT_EQ(text.compare(at, start.size(), start), 0) << i;
    const std::size_t end = text.find('\n', at);
    ASSERT_NE(end, std::string::npos);
    float value = 0;
    std::from_chars(text.data() + at + start.size(), text.data() + end, value);
    ASSERT_EQ(value, predictions[i]);
    at = end + 1;
  }
  EXPECT_EQ(at, text.size());
}

TEST(PredictionsTest, EachRowNeedsItsPrediction) {
  const TemporaryFolder folder;
  const auto dataset = MakeDataset({"1193"}, {"6040"}, {{1, 1}}, {4});
  const std::vector<std::uint32_t> rows{0};
  EXPECT_THROW((void)WritePredictions(folder.path() / "file", dataset, rows, {}), CheckError);
  EXPECT_EQ(folder.EntryCount(), 0U);
}

TEST(PredictionsTest, ReportsAFolderThatIsMissing) {
  const TemporaryFolder folder;
  const auto dataset = MakeDataset({}, {}, {}, {});
  const Status status = WritePredictions(folder.path() / "absent" / "file", dataset, {}, {});
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), ::testing::HasSubstr("absent/file"));
}

}  // namespace
}  // namespace dcn::output
