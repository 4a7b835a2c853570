#include "common/file/checked_tensors.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <sys/stat.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/temporary_folder.h"

namespace dcn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::ReadText;
using testing::TemporaryFolder;
using testing::WriteText;

const std::vector<TensorInfo> kTensors = {{"keys", Dtype::kU64, {3}},
                                          {"loss", Dtype::kF64, {1}},
                                          {"step", Dtype::kU32, {3}},
                                          {"w", Dtype::kF32, {3, 2}},
                                          {"none", Dtype::kF32, {0, 2}}};

// Pieces of the arrays, now of this one, now of that.
TensorFileRecord WriteSample(const std::filesystem::path& path) {
  auto file = TensorFileWriter::Create(path, kTensors, {{"format", "x"}});
  EXPECT_TRUE(file.ok()) << file.status().ToString();
  EXPECT_TRUE(file->Append(3, std::vector<float>{1, 2}).ok());
  EXPECT_TRUE(file->Append(0, std::vector<std::uint64_t>{7, 8}).ok());
  EXPECT_TRUE(file->Append(2, std::vector<std::uint32_t>{4, 5, 6}).ok());
  EXPECT_TRUE(file->Append(3, std::vector<float>{3, 4, 5, 6}).ok());
  EXPECT_TRUE(file->Append(0, std::vector<std::uint64_t>{~0ULL}).ok());
  EXPECT_TRUE(file->Append(1, std::vector<double>{0.5}).ok());
  EXPECT_TRUE(file->Append(4, std::vector<float>{}).ok());
  const auto record = file->Commit();
  EXPECT_TRUE(record.ok()) << record.status().ToString();
  return *record;
}

TEST(CheckedTensorsTest, ReadsWhatWasWrittenInPieces) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "a.safetensors";
  const TensorFileRecord record = WriteSample(path);
  const auto file = OpenCheckedTensors(path, record);
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  EXPECT_THAT(*file->Values<std::uint64_t>("keys"), ElementsAre(7, 8, ~0ULL));
  EXPECT_THAT(*file->Values<double>("loss"), ElementsAre(0.5));
  EXPECT_THAT(*file->Values<std::uint32_t>("step"), ElementsAre(4, 5, 6));
  EXPECT_THAT(*file->Values<float>("w"), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(*file->Values<float>("none"), IsEmpty());
  EXPECT_EQ(record.bytes, ReadText(path).size());
  EXPECT_EQ(file->metadata().at("format"), "x");
}

TEST(CheckedTensorsTest, NamesAnArrayOfAnotherTypeOrName) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "a.safetensors";
  const auto file = OpenCheckedTensors(path, WriteSample(path));
  ASSERT_TRUE(file.ok());
  EXPECT_THAT(file->Values<float>("keys").status().message(),
              HasSubstr("a.safetensors: tensor 'keys' is of U64, expected F32"));
  EXPECT_THAT(file->Values<float>("x").status().message(), HasSubstr("there is no tensor 'x'"));
  // Who expects float32 only is told.
  EXPECT_THAT(SafetensorsFile::Open(path).status().message(),
              HasSubstr("tensor 'keys': dtype is \"U64\", expected \"F32\""));
}

TEST(CheckedTensorsTest, RecordsSurviveJson) {
  const TemporaryFolder folder;
  const TensorFileRecord record = WriteSample(folder.path() / "a");
  const auto again = TensorFileRecord::Parse(record.ToJson(), "m");
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*again, record);
  auto broken = record.ToJson();
  broken["bytes"] = "many";
  EXPECT_THAT(TensorFileRecord::Parse(broken, "m").status().message(), HasSubstr("m: no record"));
}

TEST(CheckedTensorsTest, FindsEveryFlippedBit) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "a.safetensors";
  const TensorFileRecord record = WriteSample(path);
  const std::string good = ReadText(path);
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    WriteText(path, bad);
    const Status status = OpenCheckedTensors(path, record).status();
    ASSERT_EQ(status.code(), StatusCode::kDataLoss) << "bit " << bit << ": " << status.ToString();
    ASSERT_THAT(status.message(), HasSubstr("a.safetensors")) << "bit " << bit;
  }
}

TEST(CheckedTensorsTest, FindsEveryTruncationAndWhatIsAppended) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "a.safetensors";
  const TensorFileRecord record = WriteSample(path);
  const std::string good = ReadText(path);
  for (std::size_t size = 0; size <= good.size() + 8; ++size) {
    if (size == good.size()) continue;
    WriteText(path, (good + std::string(8, '\0')).substr(0, size));
    const Status status = OpenCheckedTensors(path, record).status();
    ASSERT_EQ(status.code(), StatusCode::kDataLoss) << size << ": " << status.ToString();
  }
  std::filesystem::resize_file(path, 20'000'000'000);  // not read at all
  EXPECT_EQ(OpenCheckedTensors(path, record).status().code(), StatusCode::kDataLoss);
  std::filesystem::remove(path);
  EXPECT_EQ(OpenCheckedTensors(path, record).status().code(), StatusCode::kNotFound);
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(OpenCheckedTensors(path, record).status().code(), StatusCode::kDataLoss);
}

TEST(CheckedTensorsTest, LeavesNothingWithoutACommit) {
  const TemporaryFolder folder;
  {
    auto file = TensorFileWriter::Create(folder.path() / "a", kTensors, {});
    ASSERT_TRUE(file.ok());
    EXPECT_TRUE(file->Append(0, std::vector<std::uint64_t>{7}).ok());
  }
  EXPECT_EQ(folder.EntryCount(), 0U);
}

}  // namespace
}  // namespace dcn
