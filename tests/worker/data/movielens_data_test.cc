// The real data sets: their counts, a slow reader's answer, and how long reading takes.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/temporary_folder.h"
#include "tests/worker/data/movielens_oracle.h"
#include "worker/data/encoded_cache.h"
#include "worker/data/movielens.h"
#include "worker/data/split.h"

namespace dcn::data {
namespace {

using ::testing::ElementsAre;

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define DCN_SLOWED_DOWN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
#define DCN_SLOWED_DOWN 1
#endif
#if defined(DCN_SLOWED_DOWN)
constexpr bool kTimesMeanSomething = false;
#else
constexpr bool kTimesMeanSomething = true;
#endif

// Processor time, the best of several: others use this machine too.
template <typename Body>
double BestSeconds(const Body& body) {
  double best = 1e9;
  for (int i = 0; i < 7; ++i) {
    const std::clock_t start = std::clock();
    body();
    best = std::min(best, static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  }
  return best;
}

std::vector<std::size_t> VocabularySizes(const Dataset& dataset) {
  std::vector<std::size_t> sizes;
  for (const Vocabulary& vocabulary : dataset.vocabularies()) {
    sizes.push_back(vocabulary.values.size());
  }
  return sizes;
}

class MovieLensDataTest : public ::testing::Test {
 protected:
  // The folder in an environment variable; skips the test where it is not set.
  static std::string Folder(const char* variable) {
    const char* const folder = std::getenv(variable);
    return folder == nullptr ? "" : folder;
  }
};

#define DCN_FOLDER_OR_SKIP(folder, variable)   \
  const std::string folder = Folder(variable); \
  if (folder.empty()) GTEST_SKIP() << variable << " is not set: the real data set is not tested"

TEST_F(MovieLensDataTest, Ml1mHasTheCountsOfTheExperiment) {
  DCN_FOLDER_OR_SKIP(folder, "DCN_ML1M_DIR");
  const Dataset dataset = LoadDataset(folder).value();
  EXPECT_EQ(dataset.name(), "ml-1m");
  EXPECT_EQ(dataset.rows(), 1000209U);
  EXPECT_THAT(VocabularySizes(dataset), ElementsAre(3706, 6040, 3439, 21, 2, 7));
  std::size_t table_rows = 0;
  for (const Vocabulary& vocabulary : dataset.vocabularies()) table_rows += vocabulary.table_rows();
  EXPECT_EQ(table_rows, 13221U);
  EXPECT_THAT(dataset.vocabularies()[4].values, ElementsAre("0", "1"));
  EXPECT_THAT(dataset.vocabularies()[5].values,
              ElementsAre("1", "18", "25", "35", "45", "50", "56"));
  EXPECT_EQ(dataset.vocabularies()[kMovieFeature].values[1], "10");  // bytewise: 1, 10, 100, …
  const Split split = MakeSplit(dataset.rows(), .75).value();
  EXPECT_EQ(split.train.size(), 750156U);
  EXPECT_EQ(split.test.size(), 250052U);
  EXPECT_EQ(split.train.size() % 8192, 4684U);  // the last batch of an epoch
}

TEST_F(MovieLensDataTest, Ml100kHasTheCountsOfTheExperiment) {
  DCN_FOLDER_OR_SKIP(folder, "DCN_ML100K_DIR");
  const Dataset dataset = LoadDataset(folder).value();
  EXPECT_EQ(dataset.name(), "ml-100k");
  EXPECT_EQ(dataset.rows(), 100000U);
  EXPECT_THAT(VocabularySizes(dataset), ElementsAre(1682, 943, 795, 21, 2, 7));
  EXPECT_THAT(dataset.vocabularies()[5].values,
              ElementsAre("1", "18", "25", "35", "45", "50", "56"));
  const Split split = MakeSplit(dataset.rows(), .8).value();
  EXPECT_EQ(split.train.size(), 80000U);
  EXPECT_EQ(split.test.size(), 20000U);
}

TEST_F(MovieLensDataTest, Ml1mIsWhatTheObviousReaderSays) {
  DCN_FOLDER_OR_SKIP(folder, "DCN_ML1M_DIR");
  const MovieLensFolder files = MovieLensFolder::Open(folder).value();
  EXPECT_EQ(testing::Difference(LoadDataset(folder).value(), testing::ReadObviously(files.text())),
            "");
}

TEST_F(MovieLensDataTest, Ml100kIsWhatTheObviousReaderSays) {
  DCN_FOLDER_OR_SKIP(folder, "DCN_ML100K_DIR");
  const MovieLensFolder files = MovieLensFolder::Open(folder).value();
  EXPECT_EQ(testing::Difference(LoadDataset(folder).value(), testing::ReadObviously(files.text())),
            "");
}

TEST_F(MovieLensDataTest, Ml1mIsReadAndSplitInHalfASecond) {
  DCN_FOLDER_OR_SKIP(folder, "DCN_ML1M_DIR");
  const double seconds = BestSeconds([&folder] {
    const Dataset dataset = LoadDataset(folder).value();
    ASSERT_EQ(MakeSplit(dataset.rows(), .75).value().test.size(), 250052U);
  });
  RecordProperty("milliseconds", static_cast<int>(std::lround(seconds * 1e3)));
  fmt::print("read, encoded and split in {:.0f} ms\n", seconds * 1e3);
  if (kTimesMeanSomething) {
    EXPECT_LT(seconds, .5);
  }
}

TEST_F(MovieLensDataTest, Ml1mComesFromTheCacheInFiftyMilliseconds) {
  DCN_FOLDER_OR_SKIP(folder, "DCN_ML1M_DIR");
  const ::dcn::testing::TemporaryFolder cache;
  const Dataset parsed = LoadDataset(folder, cache.path()).value();
  const double seconds = BestSeconds([&] {
    const Dataset cached = LoadDataset(folder, cache.path()).value();
    ASSERT_EQ(cached.rows(), parsed.rows());
  });
  const Dataset cached = LoadDataset(folder, cache.path()).value();
  EXPECT_TRUE(std::equal(cached.ids().begin(), cached.ids().end(), parsed.ids().begin()));
  EXPECT_TRUE(std::equal(cached.labels().begin(), cached.labels().end(), parsed.labels().begin()));
  EXPECT_EQ(cached.vocabularies(), parsed.vocabularies());
  EXPECT_EQ(cache.EntryCount(), 1U);
  RecordProperty("milliseconds", static_cast<int>(std::lround(seconds * 1e3)));
  fmt::print("from the cache in {:.0f} ms\n", seconds * 1e3);
  if (kTimesMeanSomething) {
    EXPECT_LT(seconds, .05);
  }
}

}  // namespace
}  // namespace dcn::data
