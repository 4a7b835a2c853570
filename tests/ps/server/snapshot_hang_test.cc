// A shard whose disk hangs while it writes a snapshot: steps, the end of the shard, and the next
// epoch go on without it.
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ps/server/shard_desk.h"
#include "ps/server/snapshot_place.h"
#include "ps/server/snapshot_writer.h"
#include "ps/snapshot_file.h"
#include "tests/ps/float_bits.h"
#include "tests/ps/push_parts.h"
#include "tests/testing/hanging_disk.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::ps {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using dcn::testing::HangingDisk;
using dcn::testing::TemporaryFolder;
using dcn::testing::WriteText;
using ::testing::AllOf;
using testing::Bits;
using ::testing::HasSubstr;
using testing::PushParts;
using State = SnapshotReport::State;

const std::vector<TableDefinition> kTables = {{"a", 2, {.seed = 1}, AdamOptions{}}};
constexpr const char* kFile = "shard-0-of-1.safetensors";

class Answer final : public Reply {
 public:
  struct Box {
    Status status = Status(StatusCode::kInternal, "no answer");
    SnapshotReport report;
  };
  explicit Answer(Box& box) : box_(box) {}
  std::span<float> MakeRoom(Step /*step*/, StepFlags /*flags*/, std::size_t /*count*/) override {
    return {};
  }
  void SetFlags(StepFlags /*flags*/) override {}
  void SetReport(const SnapshotReport& report) override { box_.report = report; }
  void Send(const Status& status) override { box_.status = status; }

 private:
  Box& box_;
};

class SnapshotHangTest : public ::testing::Test {
 protected:
  SnapshotHangTest() { WriteText(folder_ / kNonceFile, "n"); }

  [[nodiscard]] SnapshotPlace Place(std::uint64_t epoch) const {
    return {folder_.string(), "n", epoch, 0, 1};
  }
  [[nodiscard]] std::filesystem::path MakeFolder(Step step, std::uint64_t epoch) const {
    const std::filesystem::path made = folder_ / SnapshotFolderName(step, epoch);
    std::filesystem::create_directory(made);
    return made;
  }

  // One rank's push of `step`.
  static PushParts Part(Step step) {
    const TreeNode node{0, 0};
    PushParts part(0, step, 0.1F, {node});
    for (Key key = step % 3; key < 30; key += 2) {
      part.Add(0, key, node, std::vector<float>{0.5F, static_cast<float>(step)});
    }
    return part;
  }
  static void Push(Shard& shard, Step step, StepFlags flags = 0) {
    PushParts part = Part(step);
    PushRequest request = part.Request();
    request.flags = flags;
    const Status status = shard.Push(request);
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  static std::vector<std::uint32_t> PullAll(Shard& shard) {
    std::vector<Key> keys;
    for (Key key = 0; key < 30; ++key) keys.push_back(key);
    std::vector<float> values(keys.size() * 2);
    const RowsToPull pull = {0, keys, values};
    EXPECT_TRUE(shard.Pull(std::span(&pull, 1)).ok());
    return Bits(values);
  }

  // Asks until the snapshot is done or failed.
  static SnapshotReport Await(const std::function<SnapshotReport()>& ask) {
    const auto deadline = Clock::now() + 60s;
    SnapshotReport report = ask();
    while (report.state == State::kWriting && Clock::now() < deadline) {
      std::this_thread::sleep_for(1ms);
      report = ask();
    }
    return report;
  }
  static SnapshotReport Query(Shard& shard, Step step) {
    const auto report = shard.QuerySnapshot(step);
    EXPECT_TRUE(report.ok()) << report.status().ToString();
    return report.ok() ? *report : SnapshotReport{};
  }

  TemporaryFolder temporary_;
  const std::filesystem::path folder_ = std::filesystem::canonical(temporary_.path());
};

TEST_F(SnapshotHangTest, StepsGoOnAndNoOtherSnapshotIsBegun) {
  Shard shard;
  Shard undisturbed;
  ASSERT_TRUE(shard.CreateTables(kTables).ok());
  ASSERT_TRUE(undisturbed.CreateTables(kTables).ok());
  shard.OpenSnapshots(Place(3));
  const std::filesystem::path first = MakeFolder(1, 3);
  HangingDisk disk("fsync", kFile);
  for (Step step = 1; step <= 20; ++step) {
    Push(shard, step, step == 1 ? kTakesSnapshot : 0);
    Push(undisturbed, step);
  }
  disk.AwaitHang();
  EXPECT_EQ(PullAll(shard), PullAll(undisturbed));
  SnapshotReport report = Query(shard, 1);
  EXPECT_EQ(report.state, State::kWriting);
  EXPECT_THAT(report.text, HasSubstr((first / kFile).string() + ": the disk has not answered for"));

  for (Step step = 21; step <= 22; ++step) {
    const std::filesystem::path next = MakeFolder(step, 3);
    Push(shard, step, kTakesSnapshot);
    report = Query(shard, step);
    EXPECT_EQ(report.state, State::kFailed);
    EXPECT_THAT(report.text,
                AllOf(HasSubstr("not begun, an earlier one hangs: "),
                      HasSubstr((first / kFile).string() + ": the disk has not answered for")));
    EXPECT_TRUE(std::filesystem::is_empty(next));
  }
  EXPECT_EQ(disk.hangs(), 1);

  // Once it answers, what was given up ends, and the next one is written.
  disk.Answer();
  Step step = 22;
  do {
    ++step;
    (void)MakeFolder(step, 3);
    Push(shard, step, kTakesSnapshot);
    report = Await([&] { return Query(shard, step); });
    if (report.state == State::kFailed) std::this_thread::sleep_for(1ms);  // the thread's end
  } while (report.state == State::kFailed && step < 10'000);
  EXPECT_EQ(report.state, State::kDone) << report.text;
}

TEST_F(SnapshotHangTest, TheShardEndsWithoutItsWriter) {
  HangingDisk disk("fsync", kFile);
  const std::filesystem::path first = MakeFolder(1, 3);
  {
    Shard shard;
    ASSERT_TRUE(shard.CreateTables(kTables).ok());
    shard.OpenSnapshots(Place(3));
    Push(shard, 1, kTakesSnapshot);
    disk.AwaitHang();
  }
  EXPECT_EQ(disk.hangs(), 1);
}

TEST_F(SnapshotHangTest, CopiesAreDroppedOnceItIsGivenUp) {
  const std::filesystem::path file = MakeFolder(1, 3) / kFile;
  HangingDisk disk("pwrite", kFile);
  const auto copies = [](Key key) {
    return RowCopies{.table = 0, .keys = {key}, .last_steps = {1}, .records = {1, 2, 3, 4, 5, 6}};
  };
  SnapshotWriter writer(file, kTables, {3}, {});
  writer.Add(copies(0));
  disk.AwaitHang();
  EXPECT_EQ(writer.queued_bytes(), 0U);  // it is being written
  writer.Add(copies(1));
  EXPECT_GT(writer.queued_bytes(), 0U);
  writer.GiveUp();
  EXPECT_EQ(writer.queued_bytes(), 0U);
  writer.Add(copies(2));
  EXPECT_EQ(writer.queued_bytes(), 0U);
  EXPECT_FALSE(writer.AwaitEnd());
  EXPECT_EQ(writer.outcome().status().code(), StatusCode::kUnavailable);
  disk.Answer();
  const auto deadline = Clock::now() + 60s;
  while (!writer.AwaitEnd() && Clock::now() < deadline) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(writer.outcome().status().code(), StatusCode::kCancelled);
  EXPECT_TRUE(std::filesystem::is_empty(file.parent_path()));
}

TEST_F(SnapshotHangTest, TheNextEpochGoesOnAndBeginsNoSnapshotWhileTheOldOneHangs) {
  ShardDesk desk;
  desk.SetCheckpointRoot("/");
  Answer::Box box;
  Answer reply(box);
  const auto start = [&](std::uint64_t epoch) {
    desk.StartEpoch("x", epoch, 1);
    desk.CreateTables({epoch, 0}, kTables, reply);
    ASSERT_TRUE(box.status.ok()) << box.status.ToString();
    desk.OpenSnapshots({epoch, 0}, Place(epoch), reply);
    ASSERT_TRUE(box.status.ok()) << box.status.ToString();
  };
  // The report on a snapshot of the epoch's first step.
  const auto snapshot = [&](std::uint64_t epoch, Step step) {
    (void)MakeFolder(step, epoch);
    PushParts part = Part(step);
    PushRequest push = part.Request();
    push.flags = kTakesSnapshot;
    desk.PushPull({epoch, 0}, push, std::span<const PullKeys>(), std::make_unique<Answer>(box));
    EXPECT_TRUE(box.status.ok()) << box.status.ToString();
  };
  const auto query = [&](std::uint64_t epoch, Step step) {
    desk.QuerySnapshot({epoch, 0}, step, reply);
    EXPECT_TRUE(box.status.ok()) << box.status.ToString();
    return box.report;
  };
  HangingDisk disk("fsync", kFile);
  start(1);
  snapshot(1, 1);
  disk.AwaitHang();
  for (std::uint64_t epoch = 2; epoch <= 3; ++epoch) {  // broken, and ended
    if (epoch == 2) desk.Break(1, Status(StatusCode::kUnavailable, "a rank is gone"));
    if (epoch == 3) desk.EndEpoch();
    start(epoch);
    snapshot(epoch, 1);
    const SnapshotReport report = query(epoch, 1);
    EXPECT_EQ(report.state, State::kFailed);
    EXPECT_THAT(report.text, HasSubstr((MakeFolder(1, 1) / kFile).string()));
  }
  EXPECT_EQ(disk.hangs(), 1);
  disk.Answer();
  Step step = 1;
  SnapshotReport report;
  do {
    snapshot(3, ++step);
    report = Await([&] { return query(3, step); });
    if (report.state == State::kFailed) std::this_thread::sleep_for(1ms);
  } while (report.state == State::kFailed && step < 10'000);
  EXPECT_EQ(report.state, State::kDone) << report.text;
}

TEST_F(SnapshotHangTest, AFolderWhoseDiskHangsIsRefusedInTime) {
  HangingDisk disk("unlink", "probe");
  SnapshotPlaceCheck check(50ms);
  Result<SnapshotPlace> place = check.Check("/", Place(1));
  EXPECT_EQ(place.status().code(), StatusCode::kUnavailable);
  EXPECT_THAT(place.status().message(),
              HasSubstr("the folder for checkpoints, " + folder_.string() +
                        ", cannot be checked: " + folder_.string() + ": the disk has not"));
  disk.AwaitHang();
  place = check.Check("/", Place(2));
  EXPECT_EQ(place.status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(disk.hangs(), 1);  // nothing else was asked of it
  disk.Answer();
  const auto deadline = Clock::now() + 60s;
  while (!place.ok() && Clock::now() < deadline) place = check.Check("/", Place(3));
  ASSERT_TRUE(place.ok()) << place.status().ToString();
  EXPECT_EQ(place->epoch, 3U);
  EXPECT_EQ(check.Check("", Place(3)).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace dcn::ps
