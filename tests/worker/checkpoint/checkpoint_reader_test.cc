// What a reader makes of a checkpoint that is damaged: file by file, bit by bit, cut anywhere.
#include "worker/checkpoint/checkpoint_reader.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/bytes.h"
#include "common/random.h"
#include "ps/partition.h"
#include "ps/server/local_shard.h"
#include "ps/server/shard.h"
#include "ps/snapshot_file.h"
#include "tests/ps/float_bits.h"
#include "tests/testing/temporary_folder.h"
#include "worker/checkpoint/checkpoint_folder.h"

namespace dcn::checkpoint {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using testing::ReadText;
using testing::TemporaryFolder;
using testing::WriteText;

constexpr std::uint32_t kShards = 2;
constexpr ps::Step kStep = 3;
const std::vector<ps::TableDefinition> kTables = {
    {"embedding/a", 2, {.seed = 1}, ps::AdamOptions{}},
    {"embedding/b", 3, {.seed = 1}, ps::AdamOptions{}}};

model::ModelSpec Spec() {
  return {.name = "m",
          .features = {{.name = "a", .rows = 50, .dimension = 2}},
          .cross = {{}},
          .deep = {2}};
}

// What the rows of shard `s` come to: any numbers, each row once over all shards.
void AddRows(std::uint32_t s, const std::vector<TensorInfo>& tensors, TensorFileWriter& file,
             std::span<const std::vector<ps::Key>> keys) {
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (i < keys.size()) {
      ASSERT_TRUE(file.Append(i, keys[i]).ok());
    } else if (tensors[i].dtype == Dtype::kU32) {
      ASSERT_TRUE(file.Append(i, std::vector<std::uint32_t>(tensors[i].shape[0], kStep)).ok());
    } else {
      std::vector<float> values(tensors[i].shape[0] * tensors[i].shape[1]);
      RandomStream(s, i).FillUniform(1.0F, 0, values);
      ASSERT_TRUE(file.Append(i, values).ok());
    }
  }
}

// A shard that only notes how large the requests are that bring it rows.
class MeasuringShard final : public ps::ShardClient {
 public:
  Status RestoreRows(const ps::RowsToRestore& rows) override {
    keys.insert(keys.end(), rows.keys.begin(), rows.keys.end());
    bytes.push_back(rows.keys.size_bytes() + rows.last_steps.size_bytes() +
                    rows.records.size_bytes());
    return Status();
  }
  Status CreateTables(std::span<const ps::TableDefinition>) override { return Status(); }
  void StartPushPull(const ps::PushRequest&, std::span<const ps::RowsToPull>) override {}
  void StartPull(std::span<const ps::RowsToPull>) override {}
  Status Finish() override { return Status(); }
  [[nodiscard]] ps::StepFlags step_flags() const override { return 0; }
  Status Assign(ps::TableId, std::span<const ps::Key>, std::span<const float>) override {
    return Status();
  }
  Status OpenSnapshots(const ps::SnapshotPlace&) override { return Status(); }
  Result<ps::SnapshotReport> QuerySnapshot(ps::Step) override { return ps::SnapshotReport(); }
  Status BeginRestore(ps::Step, std::span<const float>) override { return Status(); }

  std::vector<ps::Key> keys;       // of all requests
  std::vector<std::size_t> bytes;  // of each request
};

class CheckpointReaderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    WriteCheckpoint(kTables, 20);
    for (const auto& entry : fs::directory_iterator(folder_.path())) {
      good_[entry.path().filename().string()] = ReadText(entry.path());
    }
    ASSERT_EQ(good_.size(), kShards + 2U);
  }

  // rows: of each table, over all shards.
  void WriteCheckpoint(std::span<const ps::TableDefinition> tables, ps::Key rows) const {
    Manifest manifest;
    manifest.step = kStep;
    manifest.epoch = 1;
    manifest.configuration = {{"seed", 1}};
    manifest.engine = "e";
    manifest.version = "v";
    manifest.shards = kShards;
    for (std::uint32_t s = 0; s < kShards; ++s) WriteShard(s, tables, rows, manifest);
    const model::ModelSpec spec = Spec();
    DensePart dense;
    dense.state.parameters.assign(spec.dense_size(), 0.5F);
    dense.state.first_moments = dense.state.second_moments = dense.state.parameters;
    dense.step_sizes.assign(kStep, 0.1F);
    dense.losses.assign(kStep, 1.0);
    const auto record = WriteDenseFile(folder_.path() / kDenseFile, spec, ps::AdamOptions{}, dense);
    ASSERT_TRUE(record.ok());
    manifest.files[kDenseFile] = *record;
    WriteText(folder_.path() / kManifestFile, ToText(manifest));
  }

  void WriteShard(std::uint32_t s, std::span<const ps::TableDefinition> tables, ps::Key rows,
                  Manifest& manifest) const {
    std::vector<std::vector<ps::Key>> keys(tables.size());
    std::vector<std::size_t> counts;
    for (ps::TableId table = 0; table < tables.size(); ++table) {
      for (ps::Key key = 0; key < rows; ++key) {
        if (ps::ShardOf(table, key, kShards) == s) keys[table].push_back(key);
      }
      counts.push_back(keys[table].size());
    }
    const std::vector<TensorInfo> tensors = ps::SnapshotTensors(tables, counts);
    const std::string name = ps::SnapshotFileName(s, kShards);
    auto file = TensorFileWriter::Create(folder_.path() / name, tensors, {});
    ASSERT_TRUE(file.ok());
    AddRows(s, tensors, *file, keys);
    const auto record = file->Commit();
    ASSERT_TRUE(record.ok());
    manifest.files[name] = *record;
  }

  [[nodiscard]] Status OpenStatus() const {
    return CheckpointReader::Open(folder_.path(), 0, 1).status();
  }
  void Restore(const std::string& name) const { WriteText(folder_.path() / name, good_.at(name)); }

  TemporaryFolder folder_;
  std::map<std::string, std::string> good_;  // by name
};

TEST_F(CheckpointReaderTest, GivesItsRowsToAnyNumberOfShards) {
  const auto read = [&](std::uint32_t count, std::size_t ranks) {
    std::vector<std::unique_ptr<ps::Shard>> shards;
    train::Shards clients;
    for (std::uint32_t s = 0; s < count; ++s) {
      shards.push_back(std::make_unique<ps::Shard>());
      clients.push_back(std::make_unique<ps::LocalShard>(*shards.back()));
      EXPECT_TRUE(clients.back()->CreateTables(kTables).ok());
      EXPECT_TRUE(clients.back()->BeginRestore(kStep, std::vector<float>(kStep, 0.1F)).ok());
    }
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      const auto reader = CheckpointReader::Open(folder_.path(), rank, ranks);
      EXPECT_TRUE(reader.ok()) << reader.status().ToString();
      EXPECT_TRUE(reader->RestoreRows(kTables, clients).ok());
    }
    std::map<std::pair<ps::TableId, ps::Key>, std::vector<std::uint32_t>> rows;
    for (std::uint32_t s = 0; s < count; ++s) {
      for (ps::TableId table = 0; table < kTables.size(); ++table) {
        shards[s]->tables()[table].ForEachRow([&](const ps::StoredRow& row) {
          EXPECT_EQ(ps::ShardOf(table, row.key, count), s);
          std::vector<float> all(row.weights.begin(), row.weights.end());
          all.insert(all.end(), row.state.begin(), row.state.end());
          rows[{table, row.key}] = ps::testing::Bits(all);
        });
      }
    }
    return rows;
  };
  const auto rows = read(2, 1);
  EXPECT_EQ(rows.size(), 40U);
  EXPECT_EQ(read(1, 1), rows);
  EXPECT_EQ(read(3, 1), rows);
  EXPECT_EQ(read(5, 2), rows);
  EXPECT_EQ(read(2, 3), rows);  // one rank has no file
}

TEST_F(CheckpointReaderTest, RowsOfAnyWidthGoOutInRequestsOfSixteenMebibytesAtMost) {
  constexpr std::size_t kLimit = std::size_t{16} << 20;
  for (const std::uint32_t dimension : {1U, 65536U}) {
    SCOPED_TRACE(dimension);
    // Two requests and a half, if all went to one shard.
    const std::size_t row_bytes = std::size_t{12} * dimension + 12;
    const ps::Key rows = std::min<ps::Key>(kLimit * 5 / 2 / row_bytes, 200'000);
    const std::vector<ps::TableDefinition> tables = {
        {"embedding/a", dimension, {.seed = 1}, ps::AdamOptions{}}};
    WriteCheckpoint(tables, rows);
    train::Shards clients;
    auto owned = std::make_unique<MeasuringShard>();
    const MeasuringShard& shard = *owned;
    clients.push_back(std::move(owned));
    const auto reader = CheckpointReader::Open(folder_.path(), 0, 1);
    ASSERT_TRUE(reader.ok()) << reader.status().ToString();
    ASSERT_TRUE(reader->RestoreRows(tables, clients).ok());
    EXPECT_GE(shard.bytes.size(), 3U);
    for (const std::size_t bytes : shard.bytes) EXPECT_LE(bytes, kLimit);
    std::vector<ps::Key> sent = shard.keys;
    std::ranges::sort(sent);
    std::vector<ps::Key> all(rows);
    std::iota(all.begin(), all.end(), ps::Key{0});
    EXPECT_EQ(sent, all);
  }
}

TEST_F(CheckpointReaderTest, FindsTwoThousandFlippedBitsInEachFileAndNamesIt) {
  for (const auto& [name, good] : good_) {
    RandomStream random(7, good.size());
    for (std::uint64_t i = 0; i < 2'000; ++i) {
      const auto bit =
          static_cast<std::size_t>(random.Uniform(i) * static_cast<double>(8 * good.size()));
      std::string bad = good;
      bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
      WriteText(folder_.path() / name, bad);
      const Status status = OpenStatus();
      ASSERT_EQ(status.code(), StatusCode::kDataLoss) << name << ", bit " << bit;
      ASSERT_THAT(status.message(), HasSubstr(name)) << "bit " << bit;
    }
    Restore(name);
  }
  EXPECT_TRUE(OpenStatus().ok());
}

TEST_F(CheckpointReaderTest, FindsEveryTruncationAndNamesTheFile) {
  for (const auto& [name, good] : good_) {
    for (std::size_t size = 0; size < good.size(); ++size) {
      WriteText(folder_.path() / name, good.substr(0, size));
      const Status status = OpenStatus();
      ASSERT_EQ(status.code(), StatusCode::kDataLoss) << name << ", " << size << " bytes";
      ASSERT_THAT(status.message(), HasSubstr(name)) << size << " bytes";
    }
    Restore(name);
  }
}

TEST_F(CheckpointReaderTest, FindsMissingAndSwappedFiles) {
  for (const auto& [name, good] : good_) {
    fs::remove(folder_.path() / name);
    const Status status = OpenStatus();
    EXPECT_EQ(status.code(), StatusCode::kNotFound) << name;
    EXPECT_THAT(status.message(), HasSubstr(name));
    Restore(name);
  }
  const std::string first = ps::SnapshotFileName(0, kShards);
  const std::string second = ps::SnapshotFileName(1, kShards);
  WriteText(folder_.path() / first, good_.at(second));
  WriteText(folder_.path() / second, good_.at(first));
  EXPECT_EQ(OpenStatus().code(), StatusCode::kDataLoss);
}

TEST_F(CheckpointReaderTest, MoreShardsThanFilesAreRefusedBeforeAnyNameIsMade) {
  auto manifest = ParseManifest(good_.at(kManifestFile), kManifestFile);
  ASSERT_TRUE(manifest.ok());
  for (const std::uint32_t shards : {0U, kShards - 1, kShards + 1, 4'000'000'000U}) {
    manifest->shards = shards;
    WriteText(folder_.path() / kManifestFile, ToText(*manifest));
    const Status status = OpenStatus();
    EXPECT_EQ(status.code(), StatusCode::kDataLoss);
    EXPECT_THAT(status.message(),
                HasSubstr("manifest.json: " + std::to_string(shards) + " shards, and 3 files"));
  }
}

TEST_F(CheckpointReaderTest, AHugeDeclaredSizeTakesNoMemory) {
  const std::string name = ps::SnapshotFileName(0, kShards);
  for (const std::uint64_t length : {~0ULL, 1ULL << 40, 99'999'992ULL}) {
    std::string bad = good_.at(name);
    StoreLittleEndian(length, reinterpret_cast<std::byte*>(bad.data()));
    WriteText(folder_.path() / name, bad);
    EXPECT_EQ(OpenStatus().code(), StatusCode::kDataLoss);
  }
  std::string bad = good_.at(name);
  const std::size_t shape = bad.find("\"shape\":[");
  bad.replace(shape + 9, 1, "99");  // more rows than there are bytes
  WriteText(folder_.path() / name, bad);
  EXPECT_EQ(OpenStatus().code(), StatusCode::kDataLoss);
}

}  // namespace
}  // namespace dcn::checkpoint
