#include "worker/checkpoint/manifest.h"

#include <cstddef>
#include <filesystem>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/temporary_folder.h"

namespace dcn::checkpoint {
namespace {

using ::testing::HasSubstr;

Manifest Sample() {
  Manifest manifest;
  manifest.step = 40;
  manifest.epoch = 3;
  manifest.configuration = {
      {"seed", 1}, {"learning_rate", 0.1}, {"model", {{"name", "d\u00e9j\u00e0"}}}};
  manifest.engine = "onednn 2.6.3 (avx2)";
  manifest.version = "1.2";
  manifest.shards = 2;
  manifest.buckets = 4096;
  manifest.training.rows = 12345;
  manifest.training.seconds = 1.0 / 3;
  manifest.training.epochs = {{0.1, 2.5}, {1e-300, 3}};
  manifest.training.open_epoch = {.squared_error = 7.25, .rows = 9, .begin_seconds = 0.125};
  for (const char* name :
       {"dense.safetensors", "shard-0-of-2.safetensors", "shard-1-of-2.safetensors"}) {
    manifest.files[name] = {.bytes = 88, .header = "ab", .tensors = {{"w", "cd"}}};
  }
  return manifest;
}

TEST(ManifestTest, KeepsEverythingBitForBit) {
  const Manifest sample = Sample();
  const auto read = ParseManifest(ToText(sample), "m.json");
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(read->step, sample.step);
  EXPECT_EQ(read->epoch, sample.epoch);
  EXPECT_EQ(read->configuration, sample.configuration);
  EXPECT_EQ(read->engine, sample.engine);
  EXPECT_EQ(read->version, sample.version);
  EXPECT_EQ(read->shards, sample.shards);
  EXPECT_EQ(read->buckets, sample.buckets);
  EXPECT_EQ(read->files, sample.files);
  EXPECT_EQ(read->training.rows, sample.training.rows);
  EXPECT_EQ(read->training.seconds, sample.training.seconds);
  ASSERT_EQ(read->training.epochs.size(), 2U);
  EXPECT_EQ(read->training.epochs[1].mean_loss, 1e-300);
  EXPECT_EQ(read->training.open_epoch.squared_error, 7.25);
  EXPECT_EQ(read->training.open_epoch.begin_seconds, 0.125);
  EXPECT_EQ(ToText(*read), ToText(sample));
}

TEST(ManifestTest, FindsEveryFlippedBitAndEveryTruncation) {
  const std::string good = ToText(Sample());
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    const Status status = ParseManifest(bad, "m.json").status();
    ASSERT_EQ(status.code(), StatusCode::kDataLoss) << "bit " << bit;
    ASSERT_THAT(status.message(), HasSubstr("m.json")) << "bit " << bit;
  }
  for (std::size_t size = 0; size < good.size(); ++size) {
    ASSERT_EQ(ParseManifest(good.substr(0, size), "m.json").status().code(), StatusCode::kDataLoss)
        << size;
  }
}

TEST(ManifestTest, AFolderWithoutOneHasNone) {
  const testing::TemporaryFolder folder;
  EXPECT_EQ(ReadManifest(folder.path()).status().code(), StatusCode::kNotFound);
}

TEST(ManifestTest, OneThatTheDiskDoesNotGiveIsAnErrorAndNotASignal) {
  const testing::TemporaryFolder folder;
  // A regular file whose first byte cannot be read.
  std::filesystem::create_symlink("/proc/self/mem", folder.path() / kManifestFile);
  const Status status = ReadManifest(folder.path()).status();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr("manifest.json: Input/output error"));
}

}  // namespace
}  // namespace dcn::checkpoint
