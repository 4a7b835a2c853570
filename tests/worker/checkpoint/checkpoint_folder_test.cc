#include "worker/checkpoint/checkpoint_folder.h"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <unistd.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ps/message.h"
#include "tests/testing/ordinary_user.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::checkpoint {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::ReadText;
using testing::TemporaryFolder;
using ::testing::UnorderedElementsAre;
using testing::WriteText;

constexpr std::chrono::milliseconds kShort{30};

CheckpointFolder Open(const std::filesystem::path& path) {
  auto folder = CheckpointFolder::Open(path, kShort);
  EXPECT_TRUE(folder.ok()) << folder.status().ToString();
  return std::move(*folder);
}

void Make(const CheckpointFolder& folder, const CheckpointName& name, bool is_committed = true) {
  EXPECT_TRUE(folder.MakeCheckpoint(name).ok());
  WriteText(folder.path() / name.folder() / "shard-0-of-1.safetensors", "rows");
  if (!is_committed) return;
  EXPECT_TRUE(folder.Commit(name, "{}").ok());
}

std::vector<CheckpointName> List(const std::filesystem::path& path) {
  const auto names = ListCheckpoints(path);
  EXPECT_TRUE(names.ok()) << names.status().ToString();
  return *names;
}

TEST(CheckpointNameTest, IsItsFoldersName) {
  EXPECT_EQ((CheckpointName{40, 3}.folder()), "step-000000000040-epoch-3");
  EXPECT_EQ(*CheckpointName::Parse("step-000000000040-epoch-3"), (CheckpointName{40, 3}));
  for (const char* other : {"", "step-", "step-40-epoch-3", "step-000000000040-epoch-",
                            "step-000000000040-epoch-3x", "step-000000000040-epoch-03",
                            "unusable-step-000000000040-epoch-3", "step--00000000040-epoch-3"}) {
    EXPECT_FALSE(CheckpointName::Parse(other)) << other;
  }
}

TEST(CheckpointFolderTest, ListsWhatIsCommittedNewestFirst) {
  const TemporaryFolder place;
  const CheckpointFolder folder = Open(place.path() / "a" / "b");
  Make(folder, {9, 1});
  Make(folder, {100, 1});
  Make(folder, {100, 2});
  Make(folder, {200, 1}, false);
  WriteText(folder.path() / "notes.txt", "");
  EXPECT_THAT(List(folder.path()),
              ElementsAre(CheckpointName{100, 2}, CheckpointName{100, 1}, CheckpointName{9, 1}));
  EXPECT_EQ(ListCheckpoints(place.path() / "none").status().code(), StatusCode::kNotFound);
}

TEST(CheckpointFolderTest, ACheckpointIsMadeInNoFolderThatIsThereAlready) {
  const TemporaryFolder place;
  const CheckpointFolder folder = Open(place.path());
  const CheckpointName name = {10, 1};
  const std::filesystem::path there = place.path() / name.folder();
  Make(folder, name);
  const Status again = folder.MakeCheckpoint(name);
  EXPECT_EQ(again.code(), StatusCode::kAlreadyExists);
  EXPECT_THAT(again.message(), HasSubstr(there.string() + ": it is there already"));
  EXPECT_EQ(ReadText(there / "shard-0-of-1.safetensors"), "rows");
  EXPECT_THAT(List(place.path()), ElementsAre(name));
  WriteText(place.path() / CheckpointName{20, 1}.folder(), "a file");
  EXPECT_EQ(folder.MakeCheckpoint({20, 1}).code(), StatusCode::kAlreadyExists);
}

TEST(CheckpointFolderTest, KeepsTheNewestAndClearsWhatEarlierLivesBegan) {
  const TemporaryFolder place;
  const CheckpointFolder folder = Open(place.path());
  for (const ps::Step step : {10U, 20U, 30U}) Make(folder, {step, 1});
  Make(folder, {40, 1}, false);
  Make(folder, {40, 2}, false);  // this life's, under way
  EXPECT_TRUE(folder.RemoveOld(2, 2).ok());
  EXPECT_THAT(List(place.path()), ElementsAre(CheckpointName{30, 1}, CheckpointName{20, 1}));
  EXPECT_FALSE(std::filesystem::exists(place.path() / CheckpointName{40, 1}.folder()));
  EXPECT_TRUE(std::filesystem::exists(place.path() / CheckpointName{40, 2}.folder()));
}

TEST(CheckpointFolderTest, ClearsWhatThisLifeHasGivenUpOnceALaterCheckpointIsWhole) {
  const TemporaryFolder place;
  const CheckpointFolder folder = Open(place.path());
  Make(folder, {10, 2}, false);
  EXPECT_TRUE(folder.RemoveOld(2, 2).ok());
  EXPECT_TRUE(std::filesystem::exists(place.path() / CheckpointName{10, 2}.folder()));
  Make(folder, {20, 2});
  Make(folder, {30, 2}, false);  // under way
  EXPECT_TRUE(folder.RemoveOld(2, 2).ok());
  EXPECT_FALSE(std::filesystem::exists(place.path() / CheckpointName{10, 2}.folder()));
  EXPECT_TRUE(std::filesystem::exists(place.path() / CheckpointName{30, 2}.folder()));
  EXPECT_THAT(List(place.path()), ElementsAre(CheckpointName{20, 2}));
}

TEST(CheckpointFolderTest, WhatIsPassedOverIsNeitherRemovedNorCounted) {
  const TemporaryFolder place;
  CheckpointFolder folder = Open(place.path());
  Make(folder, {10, 1});
  Make(folder, {20, 1});
  folder.PassOver({20, 1});
  EXPECT_TRUE(folder.RemoveOld(1, 2).ok());
  EXPECT_THAT(List(place.path()), ElementsAre(CheckpointName{20, 1}, CheckpointName{10, 1}));
  Make(folder, {15, 2});
  EXPECT_TRUE(folder.RemoveOld(1, 2).ok());
  EXPECT_THAT(List(place.path()), ElementsAre(CheckpointName{20, 1}, CheckpointName{15, 2}));
}

TEST(CheckpointFolderTest, WhatNobodyCanLookIntoMayBeACheckpointAndStays) {
  const TemporaryFolder place;
  std::filesystem::permissions(place.path(), std::filesystem::perms{0777});
  const testing::AsOrdinaryUser user;
  const CheckpointFolder folder = Open(place.path());
  Make(folder, {10, 1});
  Make(folder, {20, 1}, false);
  const std::filesystem::path closed = place.path() / CheckpointName{20, 1}.folder();
  std::filesystem::permissions(closed, std::filesystem::perms{0});
  EXPECT_THAT(List(place.path()), ElementsAre(CheckpointName{20, 1}, CheckpointName{10, 1}));
  EXPECT_TRUE(folder.RemoveOld(1, 2).ok());
  EXPECT_THAT(List(place.path()), ElementsAre(CheckpointName{20, 1}, CheckpointName{10, 1}));
  std::filesystem::permissions(closed, std::filesystem::perms{0700});
  EXPECT_TRUE(folder.RemoveOld(1, 2).ok());
  EXPECT_FALSE(std::filesystem::exists(closed));
}

TEST(CheckpointFolderTest, OpeningRemovesWhatKilledWritersLeftBesideItsFiles) {
  const TemporaryFolder place;
  for (const char* name : {".epoch.7.0.tmp", ".nonce.71.3.tmp", ".probe.1234.0.tmp", ".epoch.tmpx",
                           "epoch.7.0.tmp", ".other.7.0.tmp"}) {
    WriteText(place.path() / name, "");
  }
  const CheckpointFolder folder = Open(place.path());
  std::vector<std::string> left;
  for (const auto& entry : std::filesystem::directory_iterator(place.path())) {
    left.push_back(entry.path().filename().string());
  }
  EXPECT_THAT(left, UnorderedElementsAre("lock", "nonce", ".epoch.tmpx", "epoch.7.0.tmp",
                                         ".other.7.0.tmp"));
}

TEST(CheckpointFolderTest, KeepsTheNewestTwoOfThoseThatWereSetAside) {
  const TemporaryFolder place;
  const CheckpointFolder folder = Open(place.path());
  for (const CheckpointName& name : {CheckpointName{10, 1}, {30, 1}, {20, 1}, {30, 2}, {40, 2}}) {
    Make(folder, name);
    if (name.step == 40) continue;
    EXPECT_TRUE(folder.SetAside(name).ok());
  }
  std::filesystem::create_directory(place.path() / "unusable-notes");
  EXPECT_TRUE(folder.RemoveOld(1, 2).ok());
  std::vector<std::string> left;
  for (const auto& entry : std::filesystem::directory_iterator(place.path())) {
    if (entry.is_directory()) left.push_back(entry.path().filename().string());
  }
  EXPECT_THAT(left, UnorderedElementsAre("unusable-step-000000000030-epoch-1",
                                         "unusable-step-000000000030-epoch-2", "unusable-notes",
                                         "step-000000000040-epoch-2"));
}

TEST(CheckpointFolderTest, SetsAsideWhatCannotBeUsed) {
  const TemporaryFolder place;
  const CheckpointFolder folder = Open(place.path());
  for (int i = 0; i < 2; ++i) {  // also where one of that name was set aside before
    Make(folder, {10, 1});
    EXPECT_TRUE(folder.SetAside({10, 1}).ok());
    EXPECT_THAT(List(place.path()), IsEmpty());
    EXPECT_EQ(ReadText(place.path() / "unusable-step-000000000010-epoch-1" / "manifest.json"),
              "{}");
  }
}

TEST(CheckpointFolderTest, TheEpochRisesOverLivesAndAboveWhatServersHaveSeen) {
  const TemporaryFolder place;
  EXPECT_EQ(*Open(place.path()).RaiseEpoch(0), 1U);
  EXPECT_EQ(*Open(place.path()).RaiseEpoch(0), 2U);
  EXPECT_EQ(*Open(place.path()).RaiseEpoch(7), 8U);
  EXPECT_EQ(ReadText(place.path() / "epoch"), "8");
  CheckpointFolder folder = Open(place.path());
  // Lost, but a checkpoint still tells.
  std::filesystem::remove(place.path() / "epoch");
  Make(folder, {10, 12});
  EXPECT_EQ(*folder.RaiseEpoch(0), 13U);
  WriteText(place.path() / "epoch", "x");
  const auto raised = folder.RaiseEpoch(0);
  EXPECT_EQ(raised.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(raised.status().message(), HasSubstr("epoch: no number"));
  // No life may have a lower epoch than one before it.
  WriteText(place.path() / "epoch", "18446744073709551615");
  const auto highest = folder.RaiseEpoch(0);
  EXPECT_EQ(highest.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(highest.status().message(), HasSubstr("epoch: no epoch comes after"));
}

TEST(CheckpointFolderTest, AServersEpochFarAboveTheJobsOwnIsRefusedBeforeItIsWritten) {
  constexpr std::uint64_t kJump = std::uint64_t{1} << 32;
  const TemporaryFolder place;
  CheckpointFolder folder = Open(place.path());
  WriteText(place.path() / "epoch", "5");
  for (const std::uint64_t seen : {5 + kJump + 1, ps::kMaxEpoch - 1, ps::kMaxEpoch}) {
    const auto raised = folder.RaiseEpoch(seen);
    EXPECT_EQ(raised.status().code(), StatusCode::kFailedPrecondition);
    EXPECT_THAT(raised.status().message(),
                HasSubstr("a server has seen epoch " + std::to_string(seen) + ", too far above 5"));
    EXPECT_EQ(ReadText(place.path() / "epoch"), "5");
  }
  EXPECT_EQ(*folder.RaiseEpoch(5 + kJump), 5 + kJump + 1);
}

TEST(CheckpointFolderTest, AnEpochThatTheDiskDoesNotGiveMayBeReadAnotherTime) {
  const TemporaryFolder place;
  CheckpointFolder folder = Open(place.path());
  // A regular file whose first byte cannot be read.
  std::filesystem::create_symlink("/proc/self/mem", place.path() / "epoch");
  const Status failed = folder.RaiseEpoch(0).status();
  EXPECT_EQ(failed.code(), StatusCode::kUnavailable);
  EXPECT_THAT(failed.message(), HasSubstr("epoch: Input/output error"));
  std::filesystem::remove(place.path() / "epoch");
  WriteText(place.path() / "epoch", std::string(100'000, '1'));
  EXPECT_EQ(folder.RaiseEpoch(0).status().code(), StatusCode::kFailedPrecondition);
}

TEST(CheckpointFolderTest, OneRunAtATime) {
  const TemporaryFolder place;
  {
    const CheckpointFolder folder = Open(place.path());
    const Status second = CheckpointFolder::Open(place.path(), kShort).status();
    EXPECT_EQ(second.code(), StatusCode::kUnavailable);
    EXPECT_THAT(second.message(),
                HasSubstr("in use by another run (process " + std::to_string(::getpid()) + ")"));
  }
  EXPECT_TRUE(CheckpointFolder::Open(place.path(), kShort).ok());
}

TEST(CheckpointFolderTest, NamesAFolderThatCannotBeUsed) {
  const TemporaryFolder place;
  WriteText(place.path() / "file", "");
  const Status not_a_folder = CheckpointFolder::Open(place.path() / "file", kShort).status();
  EXPECT_EQ(not_a_folder.code(), StatusCode::kInvalidArgument);
  std::filesystem::permissions(place.path(), std::filesystem::perms{0555});
  const testing::AsOrdinaryUser user;
  const Status denied = CheckpointFolder::Open(place.path() / "new", kShort).status();
  EXPECT_EQ(denied.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(denied.message(), HasSubstr("new: Permission denied"));
}

TEST(CheckpointFolderTest, AParentThatMayOnlyBeEnteredIsEnough) {
  const TemporaryFolder place;
  std::filesystem::permissions(place.path(), std::filesystem::perms{0777});
  const std::filesystem::path parent = place.path() / "parent";
  const testing::AsOrdinaryUser user;
  std::filesystem::create_directories(parent / "mine");
  std::filesystem::permissions(parent, std::filesystem::perms{0100});
  const Status entered = CheckpointFolder::Open(parent / "mine", kShort).status();
  EXPECT_TRUE(entered.ok()) << entered.ToString();
  std::filesystem::permissions(parent, std::filesystem::perms{0300});
  const Status made = CheckpointFolder::Open(parent / "new" / "deeper", kShort).status();
  EXPECT_TRUE(made.ok()) << made.ToString();
  std::filesystem::permissions(parent, std::filesystem::perms{0700});
}

}  // namespace
}  // namespace dcn::checkpoint
