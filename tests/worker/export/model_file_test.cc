#include "worker/export/model_file.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "common/digest.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::output {
namespace {

using ::dcn::testing::ReadText;
using ::dcn::testing::TemporaryFolder;
using ::testing::ElementsAre;

TEST(ParameterDigestTest, CoversAllValuesAsLittleEndianFloats) {
  EXPECT_EQ(ParameterDigest({}), Digest128Hex(""));
  const std::vector<float> values{1.0F, -2.0F};
  const std::string bytes("\x00\x00\x80\x3f\x00\x00\x00\xc0", 8);
  EXPECT_EQ(ParameterDigest(std::vector<TensorView>{{"a", {2}, values}}), Digest128Hex(bytes));
}

TEST(ParameterDigestTest, DependsOnValuesAndOrderNotOnHowTheyAreCut) {
  const std::vector<float> values{1.0F, 2.0F, 3.0F};
  const std::span<const float> all(values);
  const auto digest = [](std::vector<TensorView> tensors) { return ParameterDigest(tensors); };
  const std::string whole = digest({{"a", {3}, all}});
  EXPECT_EQ(digest({{"x", {1}, all.first(1)}, {"y", {2, 1}, all.last(2)}}), whole);
  EXPECT_NE(digest({{"y", {2, 1}, all.last(2)}, {"x", {1}, all.first(1)}}), whole);
  const std::vector<float> other{1.0F, 2.0F, 3.0000002F};
  EXPECT_NE(digest({{"a", {3}, other}}), whole);
  const std::vector<float> zero{0.0F};
  const std::vector<float> minus_zero{-0.0F};
  EXPECT_NE(digest({{"a", {1}, zero}}), digest({{"a", {1}, minus_zero}}));
}

std::vector<data::Vocabulary> Vocabularies() {
  return {{"movie_id", false, {"1", "10", "2"}},
          {"user_occupation_text",
           false,
           {"artist",
            "m\xe9"
            "decin",
            "\"none\""}},
          {"user_gender", true, {"0", "1"}},
          {"nothing", true, {}}};
}

TEST(VocabularyJsonTest, WritesValuesInRowOrder) {
  EXPECT_EQ(VocabularyJson(Vocabularies()),
            "{\"movie_id\":[\"1\",\"10\",\"2\"],"
            "\"user_occupation_text\":[\"artist\",\"m\xc3\xa9"
            "decin\",\"\\\"none\\\"\"],"
            "\"user_gender\":[0,1],\"nothing\":[]}\n");
}

TEST(VocabularyJsonTest, AnIntegerThatIsNoneIsABug) {
  for (const char* text : {"", "x", "1x", "1.5", "99999999999999999999"}) {
    const std::vector<data::Vocabulary> vocabularies{{"age", true, {text}}};
    EXPECT_THROW((void)VocabularyJson(vocabularies), CheckError) << text;
  }
}

TEST(ModelFileTest, WritesTensorsAndVocabulary) {
  const TemporaryFolder folder;
  const std::vector<float> table{0, 0, 1, 2, 3, 4, 5, 6};
  const std::vector<float> kernel{1, 2, 3, 4};
  const std::vector<TensorView> tensors{{"embedding/movie_id", {4, 2}, table},
                                        {"cross/0/kernel", {2, 2}, kernel}};
  const Status status = WriteModel(folder.path(), "dcn", 7, tensors, Vocabularies());
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(ReadText(folder.path() / kVocabularyFile), VocabularyJson(Vocabularies()));
  const auto file = SafetensorsFile::Open(folder.path() / kModelFile);
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  EXPECT_THAT(file->names(), ElementsAre("embedding/movie_id", "cross/0/kernel"));
  EXPECT_EQ(file->tensors()[0].shape, (std::vector<std::size_t>{4, 2}));
  EXPECT_EQ(ParameterDigest(file->tensors()), ParameterDigest(tensors));
  EXPECT_EQ(file->metadata(),
            (std::map<std::string, std::string>{
                {"format", "dcn"}, {"format_version", "1"}, {"model", "dcn"}, {"seed", "7"}}));
  EXPECT_EQ(folder.EntryCount(), 2U);
}

TEST(ModelFileTest, ReportsAFolderThatIsMissing) {
  const TemporaryFolder folder;
  const Status status = WriteModel(folder.path() / "absent", "dcn", 7, {}, {});
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), ::testing::HasSubstr("absent/model.safetensors"));
}

}  // namespace
}  // namespace dcn::output
