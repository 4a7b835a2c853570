#include "common/file/safetensors.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/bytes.h"
#include "tests/testing/temporary_folder.h"

namespace dcn {
namespace {

namespace fs = std::filesystem;
using ::dcn::testing::ReadText;
using ::dcn::testing::TemporaryFolder;
using ::dcn::testing::WriteText;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// Tensors with the values they show.
struct Model {
  std::vector<float> table{0.5F, -1.25F, 3e38F, -0.0F, 1e-38F, 0.1F};
  std::vector<float> bias{1.0F};
  std::vector<float> nothing;
  std::vector<TensorView> tensors{{"embedding/user_id", {3, 2}, table},
                                  {"empty", {0}, nothing},
                                  {"a scalar, \"quoted\" é", {}, bias}};
  std::map<std::string, std::string> metadata{{"format", "dcn"}, {"seed", "7"}};
};

/// A file of a header's text and `data_bytes` zeros.
void WriteRaw(const fs::path& path, const std::string& header, std::size_t data_bytes) {
  std::string text;
  AppendLittleEndian<std::uint64_t>((header.size() + 7) / 8 * 8, text);
  text += header;
  text.resize(8 + (header.size() + 7) / 8 * 8, ' ');
  text.append(data_bytes, '\0');
  WriteText(path, text);
}

TEST(SafetensorsTest, ReadsWhatItWrote) {
  const TemporaryFolder folder;
  const Model model;
  const fs::path path = folder.path() / "model.safetensors";
  ASSERT_TRUE(WriteSafetensors(path, model.tensors, model.metadata).ok());
  auto opened = SafetensorsFile::Open(path);
  ASSERT_TRUE(opened.ok()) << opened.status().ToString();
  const SafetensorsFile file = std::move(*opened);
  EXPECT_EQ(file.metadata(), model.metadata);
  EXPECT_EQ(file.names().size(), model.tensors.size());
  for (const TensorView& tensor : model.tensors) {
    const auto read = file.Get(tensor.name);
    ASSERT_TRUE(read.ok()) << read.status().ToString();
    EXPECT_EQ(read->name, tensor.name);
    EXPECT_EQ(read->shape, tensor.shape);
    EXPECT_EQ(AsText(read->values), AsText(tensor.values));  // bits: -0.0 too
  }
  const auto absent = file.Get("embedding");
  EXPECT_EQ(absent.status().code(), StatusCode::kNotFound);
  EXPECT_THAT(absent.status().message(), HasSubstr("'embedding'"));
}

TEST(SafetensorsTest, KeepsTheGivenOrder) {
  const TemporaryFolder folder;
  const std::vector<float> values(2);
  const std::vector<TensorView> tensors{
      {"b", {2}, values}, {"c", {1, 2}, values}, {"a", {2, 1}, values}};
  ASSERT_TRUE(WriteSafetensors(folder.path() / "file", tensors, {}).ok());
  const auto file = SafetensorsFile::Open(folder.path() / "file");
  ASSERT_TRUE(file.ok());
  EXPECT_THAT(file->names(), ElementsAre("b", "c", "a"));
}

TEST(SafetensorsTest, WritesThePublishedLayout) {
  const TemporaryFolder folder;
  const std::vector<float> values{1.0F, -2.0F};
  const std::vector<TensorView> tensors{{"w", {1, 2}, values}};
  ASSERT_TRUE(WriteSafetensors(folder.path() / "file", tensors, {{"k", "v"}}).ok());
  std::string header =
      R"({"__metadata__":{"k":"v"},"w":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}})";
  while (header.size() % 8 != 0) header += ' ';
  std::string expected;
  AppendLittleEndian<std::uint64_t>(header.size(), expected);
  expected += header;
  AppendLittleEndian(1.0F, expected);
  AppendLittleEndian(-2.0F, expected);
  EXPECT_EQ(ReadText(folder.path() / "file"), expected);
}

TEST(SafetensorsTest, AFileWithoutTensorsIsFine) {
  const TemporaryFolder folder;
  ASSERT_TRUE(WriteSafetensors(folder.path() / "file", {}, {}).ok());
  const auto file = SafetensorsFile::Open(folder.path() / "file");
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  EXPECT_TRUE(file->tensors().empty());
}

TEST(SafetensorsTest, RefusesNamesThatItCannotWrite) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "file";
  const std::vector<float> one(1);
  const TensorView a{"a", {1}, one};
  const Status twice = WriteSafetensors(path, std::vector{a, a}, {});
  EXPECT_EQ(twice.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(twice.message(), HasSubstr("'a' is there twice"));
  const Status reserved =
      WriteSafetensors(path, std::vector{TensorView{"__metadata__", {1}, one}}, {});
  EXPECT_EQ(reserved.code(), StatusCode::kInvalidArgument);
  const Status no_utf8 = WriteSafetensors(path, std::vector{a}, {{"model", "\xff"}});
  EXPECT_EQ(no_utf8.code(), StatusCode::kInvalidArgument);
  EXPECT_THROW((void)WriteSafetensors(path, std::vector{TensorView{"a", {2}, one}}, {}),
               CheckError);
  EXPECT_EQ(folder.EntryCount(), 0U);
}

TEST(SafetensorsTest, FindsTruncationAtEveryByte) {
  const TemporaryFolder folder;
  const Model model;
  const fs::path path = folder.path() / "file";
  ASSERT_TRUE(WriteSafetensors(path, model.tensors, model.metadata).ok());
  const std::size_t whole = fs::file_size(path);
  fs::resize_file(path, whole + 1);
  EXPECT_EQ(SafetensorsFile::Open(path).status().code(), StatusCode::kDataLoss);
  for (std::size_t size = whole; size-- > 0;) {
    fs::resize_file(path, size);
    const auto file = SafetensorsFile::Open(path);
    ASSERT_EQ(file.status().code(), StatusCode::kDataLoss) << size;
    EXPECT_THAT(file.status().message(), StartsWith(path.string() + ": "));
  }
}

/// Marks the bytes of a written Model that may be others in a valid file too, for the format has
/// no checksum: names, metadata and values.
std::vector<bool> FreeBytes(const std::string& file, const Model& model) {
  std::vector<bool> is_free(file.size());
  for (const char* text :
       {"embedding/user_id", "empty", "a scalar, \\\"quoted\\\" é", "format", "dcn", "seed", "7"}) {
    const std::size_t at = file.find(text);
    EXPECT_NE(at, std::string::npos) << text;
    std::fill_n(is_free.begin() + static_cast<long>(at), std::strlen(text), true);
  }
  std::fill_n(is_free.rbegin(), 4 * (model.table.size() + model.bias.size()), true);
  return is_free;
}

TEST(SafetensorsTest, FindsEveryBitFlipInTheStructure) {
  const TemporaryFolder folder;
  const Model model;
  const fs::path path = folder.path() / "file";
  ASSERT_TRUE(WriteSafetensors(path, model.tensors, model.metadata).ok());
  const std::string whole = ReadText(path);
  const std::vector<bool> is_free = FreeBytes(whole, model);
  std::size_t found = 0;
  for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    std::fstream(path, std::ios::in | std::ios::out | std::ios::binary) << flipped;
    const auto file = SafetensorsFile::Open(path);
    if (file.ok()) {
      EXPECT_TRUE(is_free[bit / 8]) << "byte " << bit / 8 << " bit " << bit % 8;
      std::string values;  // reads every one
      for (const TensorView& tensor : file->tensors()) values += AsText(tensor.values);
      EXPECT_EQ(values, flipped.substr(flipped.size() - values.size()));
    } else {
      EXPECT_EQ(file.status().code(), StatusCode::kDataLoss);
      EXPECT_THAT(file.status().message(), StartsWith(path.string() + ": "));
      ++found;
    }
  }
  EXPECT_GT(found, 8 * whole.size() / 2);
}

TEST(SafetensorsTest, BoundsTheHeader) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "file";
  for (const std::uint64_t length :
       {std::uint64_t{9}, std::uint64_t{100'000'001}, std::uint64_t{1} << 63,
        std::numeric_limits<std::uint64_t>::max()}) {
    std::string text;
    AppendLittleEndian(length, text);
    WriteText(path, text + "{}      ");
    const auto file = SafetensorsFile::Open(path);
    EXPECT_EQ(file.status().code(), StatusCode::kDataLoss) << length;
    EXPECT_THAT(file.status().message(), HasSubstr("byte 0: the header's length is"));
  }
}

TEST(SafetensorsTest, NamesThePlaceOfAnImpossibleHeader) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "file";
  const struct {
    const char* header;
    std::size_t data_bytes;
    const char* reason;
  } cases[] = {
      {R"([])", 0, "header: no object"},
      {R"({"a":})", 0, "header: byte 6"},
      {R"({"a":[]})", 0, "tensor 'a': expected an object of dtype"},
      {R"({"a":{"dtype":"F32","shape":[1]}})", 4, "tensor 'a': expected an object of dtype"},
      {R"({"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}})", 4, "dtype is \"F16\""},
      {R"({"a":{"dtype":3,"shape":[1],"data_offsets":[0,4]}})", 4, "dtype is 3"},
      {R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, "shape is no array"},
      {R"({"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", 4, "shape is no array"},
      {R"({"a":{"dtype":"F32","shape":4,"data_offsets":[0,4]}})", 4, "shape is no array"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4, "no pair [begin, end]"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4, "no pair [begin, end]"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4,
       "its shape needs 8 bytes, its data_offsets hold 4"},
      {R"({"a":{"dtype":"F32","shape":[9223372036854775808,2],"data_offsets":[0,0]}})", 0,
       "its shape needs more than 2^64 bytes"},
      {R"({"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}})", 0,
       "its shape needs more than 2^64 bytes"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8,
       "begins at byte 4 of the data, expected 0"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
           "b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
       12, "tensor 'b' begins at byte 4 of the data, expected 8"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
           "b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})",
       12, "tensor 'b' begins at byte 8 of the data, expected 4"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 8,
       "the header describes 4 bytes of data, the file has 8"},
      {R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})", 8,
       "the header describes 16 bytes of data, the file has 8"},
      {R"({"__metadata__":[]})", 0, "__metadata__ is no object"},
      {R"({"__metadata__":{"seed":1}})", 0, "the value of 'seed' is no string"},
  };
  for (const auto& [header, data_bytes, reason] : cases) {
    WriteRaw(path, header, data_bytes);
    const auto file = SafetensorsFile::Open(path);
    EXPECT_EQ(file.status().code(), StatusCode::kDataLoss) << header;
    EXPECT_THAT(file.status().message(), StartsWith(path.string() + ": "));
    EXPECT_THAT(file.status().message(), HasSubstr(reason));
  }
}

TEST(SafetensorsTest, SaysWhichFileIsMissing) {
  const TemporaryFolder folder;
  const auto file = SafetensorsFile::Open(folder.path() / "absent");
  EXPECT_EQ(file.status().code(), StatusCode::kNotFound);
  EXPECT_THAT(file.status().message(), HasSubstr((folder.path() / "absent").string()));
}

}  // namespace
}  // namespace dcn
