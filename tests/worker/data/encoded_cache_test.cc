#include "worker/data/encoded_cache.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/digest.h"
#include "tests/testing/ordinary_user.h"
#include "tests/testing/temporary_folder.h"
#include "tests/worker/data/movielens_oracle.h"
#include "worker/data/synthetic_folder.h"

namespace dcn::data {
namespace {

namespace fs = std::filesystem;
using ::dcn::testing::AsOrdinaryUser;
using ::dcn::testing::ReadText;
using ::dcn::testing::TemporaryFolder;
using ::dcn::testing::WriteText;
using ::testing::HasSubstr;

void ExpectEqual(const Dataset& a, const Dataset& b) {
  EXPECT_EQ(a.name(), b.name());
  EXPECT_EQ(a.fingerprint(), b.fingerprint());
  EXPECT_EQ(a.noise_floor_rmse(), b.noise_floor_rmse());
  EXPECT_EQ(a.vocabularies(), b.vocabularies());
  EXPECT_TRUE(std::equal(a.ids().begin(), a.ids().end(), b.ids().begin(), b.ids().end()));
  EXPECT_TRUE(
      std::equal(a.labels().begin(), a.labels().end(), b.labels().begin(), b.labels().end()));
}

class EncodedCacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directory(data_);
    WriteText(data_ / "ratings.dat", testing::kTinyRatings1m);
    WriteText(data_ / "users.dat", testing::kTinyUsers1m);
  }

  Dataset Load() const { return LoadDataset(data_.string(), cache_).value(); }
  [[nodiscard]] std::vector<fs::path> CacheFiles() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(cache_)) files.push_back(entry.path());
    return files;
  }

  TemporaryFolder folder_;
  fs::path data_ = folder_.path() / "data";
  fs::path cache_ = folder_.path() / "new" / "cache";
};

TEST_F(EncodedCacheTest, LoadsAFolderWithoutACache) {
  const Dataset dataset = LoadDataset(data_.string()).value();
  EXPECT_EQ(dataset.name(), "ml-1m");
  EXPECT_EQ(dataset.fingerprint(), Fingerprint(testing::Tiny1m()));
  EXPECT_EQ(testing::Difference(dataset, testing::ReadObviously(testing::Tiny1m())), "");
  EXPECT_EQ(folder_.EntryCount(), 1U);
}

TEST_F(EncodedCacheTest, LoadsTheSameFromTheCache) {
  const Dataset parsed = Load();
  ASSERT_EQ(CacheFiles().size(), 1U);
  const auto time = fs::last_write_time(CacheFiles()[0]);
  const Dataset cached = Load();
  ExpectEqual(cached, parsed);
  ExpectEqual(cached, LoadDataset(data_.string()).value());
  ASSERT_EQ(CacheFiles().size(), 1U);
  EXPECT_EQ(fs::last_write_time(CacheFiles()[0]), time);
}

TEST_F(EncodedCacheTest, ReallyReadsTheCache) {
  ASSERT_EQ(Load().labels()[0], 5.0F);
  const fs::path file = CacheFiles()[0];
  std::string text = ReadText(file);
  text.resize(text.size() - 32);  // without the checksum
  const float other = 3.0F;
  std::memcpy(text.data() + 64 + 5 * 6 * 4, &other, sizeof(other));  // the first label
  fs::remove(file);
  WriteText(file, text + Digest128Hex(text));
  EXPECT_EQ(Load().labels()[0], 3.0F);
}

TEST_F(EncodedCacheTest, IgnoresAndReplacesADamagedFile) {
  const Dataset parsed = Load();
  const fs::path file = CacheFiles()[0];
  const std::string sound = ReadText(file);
  for (const std::string& damaged :
       {std::string(), std::string("garbage"), sound.substr(0, sound.size() / 2),
        std::string(sound.size(), '\0'), sound + sound}) {
    fs::remove(file);
    WriteText(file, damaged);
    ::testing::internal::CaptureStdout();
    const Dataset loaded = Load();
    const std::string log = ::testing::internal::GetCapturedStdout();
    ExpectEqual(loaded, parsed);
    EXPECT_EQ(ReadText(file), sound);
    EXPECT_THAT(log, AllOf(HasSubstr("cache of encoded data ignored"), HasSubstr(file.string())));
  }
}

TEST_F(EncodedCacheTest, ChangedDataIsNotTakenFromTheCache) {
  Load();
  const std::string ratings = std::string(testing::kTinyRatings1m) + "1::20::3::978302109\n";
  fs::remove(data_ / "ratings.dat");
  WriteText(data_ / "ratings.dat", ratings);
  EXPECT_EQ(Load().rows(), 6U);
  EXPECT_EQ(CacheFiles().size(), 2U);
  fs::remove(data_ / "users.dat");
  WriteText(data_ / "users.dat", std::string(testing::kTinyUsers1m) + "31::F::35::7::02460\n");
  Load();
  EXPECT_EQ(CacheFiles().size(), 3U);
}

TEST_F(EncodedCacheTest, MalformedDataIsNeverCached) {
  WriteText(data_ / "ratings.dat", "1::2::9::4\n");
  const Result<Dataset> dataset = LoadDataset(data_.string(), cache_);
  ASSERT_FALSE(dataset.ok());
  EXPECT_EQ(dataset.status().message(), (data_ / "ratings.dat").string() +
                                            ":1: expected a rating 1, 2, 3, 4 or 5, found \"9\"");
  EXPECT_FALSE(fs::exists(cache_));
}

TEST_F(EncodedCacheTest, AnUnwritableCacheIsNoError) {
  fs::create_directories(cache_);
  fs::permissions(cache_, fs::perms::owner_read | fs::perms::owner_exec | fs::perms::others_read |
                              fs::perms::others_exec);
  fs::permissions(folder_.path(), fs::perms::all);
  const AsOrdinaryUser ordinary;
  ::testing::internal::CaptureStdout();
  const Result<Dataset> dataset = LoadDataset(data_.string(), cache_);
  EXPECT_THAT(::testing::internal::GetCapturedStdout(), HasSubstr("encoded data is not cached"));
  ASSERT_TRUE(dataset.ok()) << dataset.status().message();
}

TEST_F(EncodedCacheTest, ACacheFolderThatIsAFileIsNoError) {
  WriteText(folder_.path() / "file", "");
  ::testing::internal::CaptureStdout();
  const Result<Dataset> dataset = LoadDataset(data_.string(), folder_.path() / "file");
  ::testing::internal::GetCapturedStdout();
  ASSERT_TRUE(dataset.ok()) << dataset.status().message();
}

TEST_F(EncodedCacheTest, SyntheticIsTheSameFromMemoryFolderAndCache) {
  const fs::path folder = folder_.path() / "synthetic";
  ASSERT_TRUE(WriteSyntheticFolder(folder, MakeSyntheticSpec("small").value()).ok());
  const Dataset memory = LoadDataset("synthetic-small").value();
  EXPECT_EQ(memory.name(), "synthetic");
  EXPECT_TRUE(memory.noise_floor_rmse().has_value());
  ExpectEqual(LoadDataset(folder.string()).value(), memory);
  for (int time = 0; time < 2; ++time) {
    ExpectEqual(LoadDataset(folder.string(), cache_).value(), memory);
    ExpectEqual(LoadDataset("synthetic-small", cache_).value(), memory);
  }
  EXPECT_EQ(CacheFiles().size(), 2U);
}

TEST_F(EncodedCacheTest, DrawnRatingsNeverPassForReal) {
  const fs::path folder = folder_.path() / "synthetic";
  ASSERT_TRUE(WriteSyntheticFolder(folder, MakeSyntheticSpec("small").value()).ok());
  fs::remove(folder / "ratings.dat");
  WriteText(folder / "ratings.dat", "1::1::5::1\n");
  const Result<Dataset> dataset = LoadDataset(folder.string());
  ASSERT_FALSE(dataset.ok());
  EXPECT_EQ(dataset.status().code(), StatusCode::kDataLoss);
  EXPECT_THAT(dataset.status().message(),
              AllOf(HasSubstr((folder / "synthetic.json").string()), HasSubstr("remove it if")));
}

TEST_F(EncodedCacheTest, NamesAMissingFolder) {
  const Result<Dataset> dataset = LoadDataset((folder_.path() / "none").string(), cache_);
  ASSERT_FALSE(dataset.ok());
  EXPECT_EQ(dataset.status().code(), StatusCode::kNotFound);
  EXPECT_FALSE(fs::exists(cache_));
}

}  // namespace
}  // namespace dcn::data
