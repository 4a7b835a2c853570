#include "worker/data/encoded_file.h"

#include <cstring>
#include <memory>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/digest.h"
#include "tests/testing/temporary_folder.h"
#include "tests/worker/data/movielens_oracle.h"

namespace dcn::data {
namespace {

using ::dcn::testing::ReadText;
using ::dcn::testing::TemporaryFolder;
using ::dcn::testing::WriteText;
using ::testing::HasSubstr;

Dataset Tiny() {
  return ParseMovieLens(testing::Tiny1m(), "tiny", "some fingerprint", 0.875).value();
}

void ExpectEqual(const Dataset& a, const Dataset& b) {
  EXPECT_EQ(a.name(), b.name());
  EXPECT_EQ(a.fingerprint(), b.fingerprint());
  EXPECT_EQ(a.noise_floor_rmse(), b.noise_floor_rmse());
  EXPECT_EQ(a.vocabularies(), b.vocabularies());
  EXPECT_THAT(a.ids(), ::testing::ElementsAreArray(b.ids()));
  EXPECT_THAT(a.labels(), ::testing::ElementsAreArray(b.labels()));
}

class EncodedFileTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(WriteEncodedFile(path_, "key", Tiny()).ok()); }

  // Replaces the file; the old one may be mapped.
  void Replace(const std::string& text) {
    std::filesystem::remove(path_);
    WriteText(path_, text);
  }
  // Expects that `text` is refused with a message that names the file and `why`.
  void ExpectRefused(const std::string& text, const std::string& why) {
    Replace(text);
    const Result<Dataset> dataset = ReadEncodedFile(path_, "key");
    ASSERT_FALSE(dataset.ok());
    EXPECT_EQ(dataset.status().code(), StatusCode::kDataLoss);
    EXPECT_THAT(dataset.status().message(), AllOf(HasSubstr(path_.string()), HasSubstr(why)));
  }
  // The file's text without its checksum.
  std::string Body() {
    const std::string text = ReadText(path_);
    return text.substr(0, text.size() - 32);
  }

  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "tiny.encoded";
};

TEST_F(EncodedFileTest, GivesBackWhatWasWritten) {
  ExpectEqual(ReadEncodedFile(path_, "key").value(), Tiny());
}

TEST_F(EncodedFileTest, GivesBackDataWithoutNoiseFloor) {
  const Dataset plain = ParseMovieLens(testing::Tiny100k(), "ml-100k", "f").value();
  ASSERT_TRUE(WriteEncodedFile(path_, "other key", plain).ok());
  const Dataset read = ReadEncodedFile(path_, "other key").value();
  EXPECT_FALSE(read.noise_floor_rmse().has_value());
  ExpectEqual(read, plain);
}

TEST_F(EncodedFileTest, OutlivesItsNameAndItsCopies) {
  std::unique_ptr<Dataset> copy;
  {
    const Dataset read = ReadEncodedFile(path_, "key").value();
    copy = std::make_unique<Dataset>(read);
  }
  std::filesystem::remove(path_);
  ExpectEqual(*copy, Tiny());
}

TEST_F(EncodedFileTest, SaysWhenThereIsNone) {
  EXPECT_EQ(ReadEncodedFile(folder_.path() / "none", "key").status().code(), StatusCode::kNotFound);
}

TEST_F(EncodedFileTest, RefusesTheDataOfAnotherSource) {
  const Result<Dataset> dataset = ReadEncodedFile(path_, "another key");
  ASSERT_FALSE(dataset.ok());
  EXPECT_EQ(dataset.status().code(), StatusCode::kDataLoss);
  EXPECT_THAT(dataset.status().message(),
              HasSubstr("expected the data of another key, found that of key"));
}

TEST_F(EncodedFileTest, RefusesEveryDamagedByte) {
  const std::string sound = ReadText(path_);
  for (std::size_t at = 0; at < sound.size(); ++at) {
    std::string damaged = sound;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    ASSERT_NO_FATAL_FAILURE(ExpectRefused(damaged, "")) << "byte " << at;
  }
}

TEST_F(EncodedFileTest, RefusesEveryTruncation) {
  const std::string sound = ReadText(path_);
  for (std::size_t size = 0; size < sound.size(); ++size) {
    ASSERT_NO_FATAL_FAILURE(ExpectRefused(sound.substr(0, size), "")) << size << " bytes";
  }
  ExpectRefused(sound + "x", "its");
}

// With a checksum that fits: the sizes are checked by themselves.
TEST_F(EncodedFileTest, RefusesSizesThatDoNotAddUp) {
  const std::string body = Body();
  const auto with = [&body](std::size_t offset, auto value) {
    std::string changed = body;
    std::memcpy(changed.data() + offset, &value, sizeof(value));
    return changed + Digest128Hex(changed);
  };
  for (const std::uint64_t rows : {0ULL, 4ULL, 6ULL, 1ULL << 62, ~0ULL, 0x2AAAAAAAAAAAAAABULL}) {
    ExpectRefused(with(16, rows), "bytes are not those of");
  }
  for (const std::uint32_t features : {0U, 5U, 7U, ~0U}) {
    ExpectRefused(with(12, features), "bytes are not those of");
  }
  for (const std::uint64_t metadata : {0ULL, 1ULL, ~0ULL}) {
    ExpectRefused(with(24, metadata), "bytes are not those of");
  }
  ExpectRefused(with(8, std::uint32_t{2}), "expected version 1, found 2");
  ExpectRefused(with(0, 'X'), "not an encoded data set");
}

TEST_F(EncodedFileTest, RefusesIdsBeyondTheirTable) {
  std::string body = Body();
  const std::uint32_t beyond = 4 + 1;  // four movies: rows 0 .. 4
  std::memcpy(body.data() + 64, &beyond, sizeof(beyond));
  ExpectRefused(body + Digest128Hex(body), "its ids do not fit its vocabularies");
}

TEST_F(EncodedFileTest, RefusesForeignMetadata) {
  std::string body = Body();
  const std::size_t at = body.find("\"vocabularies\"");
  ASSERT_NE(at, std::string::npos);
  body[at + 1] = 'V';
  ExpectRefused(body + Digest128Hex(body), "metadata");
  body[at] = '?';
  ExpectRefused(body + Digest128Hex(body), "byte");
}

}  // namespace
}  // namespace dcn::data
