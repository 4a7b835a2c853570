#include "ps/server/shard_snapshot.h"

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "common/file/checked_tensors.h"
#include "common/random.h"
#include "ps/partition.h"
#include "ps/server/shard.h"
#include "ps/server/snapshot_place.h"
#include "ps/snapshot_file.h"
#include "tests/ps/float_bits.h"
#include "tests/ps/push_parts.h"
#include "tests/testing/ordinary_user.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::ps {
namespace {

using dcn::testing::TemporaryFolder;
using dcn::testing::WriteText;
using testing::Bits;
using ::testing::HasSubstr;
using testing::PushParts;
using State = SnapshotReport::State;

const std::vector<TableDefinition> kTables = {{"a", 2, {.seed = 1}, AdamOptions{}},
                                              {"b", 3, {.seed = 1}, LazyAdamOptions{}},
                                              {"c", 1, {.seed = 1}, AdagradOptions{}},
                                              {"d", 4, {.seed = 1}, SgdOptions{}}};

class ShardSnapshotTest : public ::testing::Test {
 protected:
  ShardSnapshotTest() {
    WriteText(folder_.path() / kNonceFile, "n");
    place_ = {folder_.path().string(), "n", 3, 0, 1};
  }

  static std::unique_ptr<Shard> MakeShard(std::uint32_t ranks = 1) {
    auto shard = std::make_unique<Shard>(ranks);
    EXPECT_TRUE(shard->CreateTables(kTables).ok());
    return shard;
  }

  // One rank's push of `step` to rows of all tables.
  static void Push(Shard& shard, Step step, StepFlags flags = 0) {
    const TreeNode node{0, 0};
    PushParts part(0, step, 0.1F, {node});
    for (TableId table = 0; table < kTables.size(); ++table) {
      for (Key key = step % 5; key < 60; key += 3) {
        std::vector<float> values(kTables[table].dimension);
        RandomStream(step, key).FillUniform(1.0F, 4 * table, values);
        part.Add(table, key, node, values);
      }
    }
    PushRequest request = part.Request();
    request.flags = flags;
    const Status status = shard.Push(request);
    ASSERT_TRUE(status.ok()) << status.ToString();
  }

  static std::vector<std::uint32_t> PullAll(Shard& shard) {
    std::vector<std::uint32_t> all;
    std::vector<Key> keys;
    for (Key key = 0; key < 70; ++key) keys.push_back(key);
    for (TableId table = 0; table < kTables.size(); ++table) {
      std::vector<float> values(keys.size() * kTables[table].dimension);
      const RowsToPull pull = {table, keys, values};
      EXPECT_TRUE(shard.Pull(std::span(&pull, 1)).ok());
      const auto bits = Bits(values);
      all.insert(all.end(), bits.begin(), bits.end());
    }
    return all;
  }

  // Waits for the snapshot's end.
  static SnapshotReport Await(Shard& shard, Step step) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    for (;;) {
      const auto report = shard.QuerySnapshot(step);
      EXPECT_TRUE(report.ok()) << report.status().ToString();
      if (!report.ok() || report->state != State::kWriting ||
          std::chrono::steady_clock::now() > deadline) {
        return report.ok() ? *report : SnapshotReport{};
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  void MakeFolder(Step step) const {
    std::filesystem::create_directory(folder_.path() / SnapshotFolderName(step, 3));
  }

  [[nodiscard]] Result<SafetensorsFile> OpenFile(const SnapshotReport& report) const {
    const auto record =
        TensorFileRecord::Parse(nlohmann::json::parse(report.text, nullptr, false), "report");
    if (!record.ok()) return record.status();
    return OpenCheckedTensors(
        folder_.path() / SnapshotFolderName(report.step, 3) / SnapshotFileName(0, 1), *record);
  }

  TemporaryFolder folder_;
  SnapshotPlace place_;
};

TEST_F(ShardSnapshotTest, RestoredIntoOtherShardsGoesOnWithTheSameBits) {
  const auto shard = MakeShard();
  shard->OpenSnapshots(place_);
  MakeFolder(7);
  std::vector<float> step_sizes;
  for (Step step = 1; step <= 7; ++step) {
    Push(*shard, step, step == 7 ? kTakesSnapshot : 0);
    step_sizes.push_back(AdamStepSize(0.1F, AdamOptions{}.beta_1, AdamOptions{}.beta_2, step));
  }
  EXPECT_EQ(shard->step_flags(), kTakesSnapshot);
  Push(*shard, 8);
  EXPECT_EQ(shard->step_flags(), 0U);
  const SnapshotReport report = Await(*shard, 7);
  ASSERT_EQ(report.state, State::kDone) << report.text;
  const auto file = OpenFile(report);
  ASSERT_TRUE(file.ok()) << file.status().ToString();

  const auto restored = MakeShard();
  ASSERT_TRUE(restored->BeginRestore(7, step_sizes).ok());
  for (TableId table = 0; table < kTables.size(); ++table) {
    const auto rows = ReadSnapshotTable(*file, kTables[table]);
    ASSERT_TRUE(rows.ok()) << rows.status().ToString();
    std::vector<float> records;
    for (std::size_t row = 0; row < rows->keys.size(); ++row) {
      for (const auto column : rows->columns) {
        const auto values =
            column.subspan(row * kTables[table].dimension, kTables[table].dimension);
        records.insert(records.end(), values.begin(), values.end());
      }
    }
    const Status status = restored->RestoreRows({table, rows->keys, rows->last_steps, records});
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  EXPECT_EQ(restored->current_step(), 7U);
  for (Step step = 8; step <= 12; ++step) {
    Push(*restored, step);
    if (step > 8) Push(*shard, step);
  }
  EXPECT_EQ(PullAll(*restored), PullAll(*shard));
}

TEST_F(ShardSnapshotTest, AStepHasTheWishesOfAnyRank) {
  const auto shard = MakeShard(2);
  shard->OpenSnapshots(place_);
  MakeFolder(1);
  PushParts first(0, 1, 0.1F, {{0, 0}});
  PushParts second(1, 1, 0.1F, {{0, 1}});
  PushRequest wish = first.Request();
  wish.flags = kTakesSnapshot | kWantsStop;
  ASSERT_TRUE(shard->Push(wish).ok());
  EXPECT_EQ(shard->step_flags(), 0U);
  ASSERT_TRUE(shard->Push(second.Request()).ok());
  EXPECT_EQ(shard->step_flags(), kTakesSnapshot | kWantsStop);
  EXPECT_EQ(Await(*shard, 1).state, State::kDone);
}

TEST_F(ShardSnapshotTest, RefusesAWishThatItCannotFulfil) {
  const auto shard = MakeShard();
  PushParts part(0, 1, 0.1F, {{0, 0}});
  PushRequest wish = part.Request();
  wish.flags = kTakesSnapshot;
  EXPECT_THAT(shard->Push(wish).message(), HasSubstr("no place for it was named"));
  wish.flags = 8;
  EXPECT_THAT(shard->Push(wish).message(), HasSubstr("unknown flags 0x8"));
  EXPECT_EQ(shard->current_step(), 0U);
  EXPECT_EQ(shard->QuerySnapshot(1).status().code(), StatusCode::kOutOfRange);
}

TEST_F(ShardSnapshotTest, AFolderThatIsNotThereFailsTheSnapshotAndNothingElse) {
  const auto shard = MakeShard();
  const auto undisturbed = MakeShard();
  shard->OpenSnapshots(place_);
  for (Step step = 1; step <= 3; ++step) {
    Push(*shard, step, step == 2 ? kTakesSnapshot : 0);
    Push(*undisturbed, step);
  }
  const SnapshotReport report = Await(*shard, 2);
  EXPECT_EQ(report.state, State::kFailed);
  EXPECT_THAT(report.text, HasSubstr("No such file or directory"));
  EXPECT_EQ(PullAll(*shard), PullAll(*undisturbed));
  MakeFolder(4);
  Push(*shard, 4, kTakesSnapshot);
  EXPECT_EQ(Await(*shard, 4).state, State::kDone);
}

TEST_F(ShardSnapshotTest, AFolderThatHasBecomeALinkIsNotWrittenThrough) {
  const TemporaryFolder elsewhere;
  const auto shard = MakeShard();
  shard->OpenSnapshots(place_);
  // The checkpoint's own folder is a link.
  const std::filesystem::path first = folder_.path() / SnapshotFolderName(1, place_.epoch);
  std::filesystem::create_directory_symlink(elsewhere.path(), first);
  Push(*shard, 1, kTakesSnapshot);
  SnapshotReport report = Await(*shard, 1);
  EXPECT_EQ(report.state, State::kFailed);
  EXPECT_THAT(report.text, HasSubstr("has become a link, to " +
                                     std::filesystem::canonical(elsewhere.path()).string()));
  EXPECT_EQ(elsewhere.EntryCount(), 0U);
  // A folder above it is one.
  MakeFolder(2);
  const std::filesystem::path moved = folder_.path().string() + "-moved";
  std::filesystem::rename(folder_.path(), moved);
  std::filesystem::create_directory_symlink(moved, folder_.path());
  Push(*shard, 2, kTakesSnapshot);
  report = Await(*shard, 2);
  std::filesystem::remove(folder_.path());
  std::filesystem::rename(moved, folder_.path());
  EXPECT_EQ(report.state, State::kFailed);
  EXPECT_THAT(report.text, HasSubstr("has become a link, to "));
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path() / SnapshotFolderName(2, place_.epoch)));
  // And as it was, it is written to.
  MakeFolder(3);
  Push(*shard, 3, kTakesSnapshot);
  EXPECT_EQ(Await(*shard, 3).state, State::kDone);
}

TEST_F(ShardSnapshotTest, ASecondWishGivesUpTheFirst) {
  const auto shard = MakeShard();
  shard->OpenSnapshots(place_);
  for (Step step = 1; step <= 3; ++step) {
    MakeFolder(step);
    Push(*shard, step, kTakesSnapshot);
  }
  EXPECT_EQ(shard->QuerySnapshot(2).status().code(), StatusCode::kOutOfRange);
  EXPECT_EQ(Await(*shard, 3).state, State::kDone);
}

TEST_F(ShardSnapshotTest, RestoringIsRefusedWhereItDoesNotFit) {
  const auto shard = MakeShard();
  const std::vector<float> two = {0.1F, 0.1F};
  EXPECT_THAT(shard->BeginRestore(3, two).message(), HasSubstr("2 step sizes, must be 3"));
  EXPECT_EQ(Shard(1).BeginRestore(2, two).code(), StatusCode::kOutOfRange);  // no tables
  ASSERT_TRUE(shard->BeginRestore(2, two).ok());
  const std::vector<Key> keys = {4, 5};
  const std::vector<std::uint32_t> steps = {2, 1};
  const std::vector<float> records(2 * 6, 0.5F);  // w, m, v of dimension 2
  const auto restore = [&](TableId table, const std::vector<Key>& k,
                           const std::vector<std::uint32_t>& s, const std::vector<float>& r) {
    return shard->RestoreRows({table, k, s, r}).message();
  };
  EXPECT_THAT(restore(9, keys, steps, records), HasSubstr("table 9 does not exist"));
  EXPECT_THAT(restore(0, keys, steps, two), HasSubstr("values for"));
  EXPECT_THAT(restore(0, keys, {2}, records), HasSubstr("1 last steps for 2 keys"));
  EXPECT_THAT(restore(0, keys, {2, 3}, records), HasSubstr("key 5: stands at step 3"));
  EXPECT_THAT(restore(0, {4, 4}, steps, records), HasSubstr("row 4 stands twice"));
  EXPECT_EQ(restore(0, keys, steps, records), "");
  EXPECT_EQ(restore(0, keys, steps, records), "");  // the same again
  EXPECT_THAT(restore(0, keys, {2, 2}, records), HasSubstr("row 4 is there already"));
  EXPECT_TRUE(shard->BeginRestore(2, two).ok());
  EXPECT_THAT(shard->BeginRestore(1, {two.data(), 1}).message(), HasSubstr("has rows"));
}

TEST_F(ShardSnapshotTest, APlaceHasToBeTheWorkersOwnAndBelowTheRoot) {
  const auto check = [&](const std::filesystem::path& root, const std::string& folder,
                         const std::string& nonce) {
    return CheckSnapshotPlace(root, {folder, nonce, 1, 0, 1}).status().message();
  };
  const std::string folder = folder_.path().string();
  EXPECT_EQ(check("/", folder, "n"), "");
  EXPECT_EQ(check(folder_.path(), folder, "n"), "");
  EXPECT_THAT(check("", folder, "n"), HasSubstr("start it with --checkpoint-root"));
  EXPECT_THAT(check("/", folder, "m"), HasSubstr("is another one for this server"));
  EXPECT_THAT(check("/", folder + "/absent", "n"), HasSubstr("is not there for this server"));
  std::filesystem::create_directory(folder_.path() / "root");
  EXPECT_THAT(check(folder_.path() / "root", folder, "n"), HasSubstr("does not lie in"));
  EXPECT_THAT(check(folder_.path() / "root", folder + "/root/..", "n"),
              HasSubstr("does not lie in"));
  // A nonce that the disk does not give, or that never ends, is none.
  std::filesystem::remove(folder_.path() / kNonceFile);
  std::filesystem::create_symlink("/proc/self/mem", folder_.path() / kNonceFile);
  EXPECT_THAT(check("/", folder, "n"), HasSubstr("nonce: Input/output error"));
  std::filesystem::remove(folder_.path() / kNonceFile);
  WriteText(folder_.path() / kNonceFile, std::string(5000, 'n'));
  EXPECT_THAT(check("/", folder, "n"), HasSubstr("nonce: more than 4096 bytes"));
  WriteText(folder_.path() / kNonceFile, "n");
  std::filesystem::permissions(folder_.path(), std::filesystem::perms{0555});
  const dcn::testing::AsOrdinaryUser user;
  EXPECT_THAT(check("/", folder, "n"), HasSubstr("Permission denied"));
}

}  // namespace
}  // namespace dcn::ps
