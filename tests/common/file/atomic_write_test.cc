#include "common/file/atomic_write.h"

#include <csignal>
#include <string>
#include <sys/resource.h>
#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/ordinary_user.h"
#include "tests/testing/temporary_folder.h"

namespace dcn {
namespace {

namespace fs = std::filesystem;
using ::dcn::testing::AsOrdinaryUser;
using ::dcn::testing::ReadText;
using ::dcn::testing::TemporaryFolder;
using ::dcn::testing::WriteText;
using ::testing::HasSubstr;

/// Lets no file grow beyond `bytes` while it lives: writes fail with EFBIG.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const struct rlimit limit = {bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  struct rlimit before_ = {};
  void (*handler_)(int);
};

TEST(AtomicWriteTest, WritesWholeFileAndLeavesNothingElse) {
  const TemporaryFolder folder;
  for (const std::size_t size : {0U, 1U, 7U, 4096U, 3'000'001U}) {
    const std::string bytes(size, 'x');
    const Status status = WriteFileAtomically(folder.path() / "file", bytes);
    ASSERT_TRUE(status.ok()) << status.ToString();
    EXPECT_EQ(ReadText(folder.path() / "file"), bytes);
    EXPECT_EQ(folder.EntryCount(), 1U);
  }
}

TEST(AtomicWriteTest, GivesOrdinaryPermissions) {
  const TemporaryFolder folder;
  const mode_t before = ::umask(022);
  ASSERT_TRUE(WriteFileAtomically(folder.path() / "file", "x").ok());
  ::umask(before);
  EXPECT_EQ(fs::status(folder.path() / "file").permissions(), fs::perms(0644));
}

TEST(AtomicWriteTest, AppendsPiecesInOrder) {
  const TemporaryFolder folder;
  auto file = AtomicFile::Create(folder.path() / "file");
  ASSERT_TRUE(file.ok());
  const std::byte bytes[] = {std::byte{'c'}, std::byte{0}};
  EXPECT_TRUE(file->Append("ab").ok());
  EXPECT_TRUE(file->Append("").ok());
  EXPECT_TRUE(file->Append(bytes).ok());
  EXPECT_TRUE(file->Commit().ok());
  EXPECT_EQ(ReadText(folder.path() / "file"), std::string("abc\0", 4));
}

TEST(AtomicWriteTest, KeepsTheOldFileUntilCommitted) {
  const TemporaryFolder folder;
  WriteText(folder.path() / "file", "old");
  {
    auto file = AtomicFile::Create(folder.path() / "file");
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->Append("new").ok());
    EXPECT_EQ(ReadText(folder.path() / "file"), "old");
    EXPECT_EQ(folder.EntryCount(), 2U);
  }
  EXPECT_EQ(ReadText(folder.path() / "file"), "old");
  EXPECT_EQ(folder.EntryCount(), 1U);
  ASSERT_TRUE(WriteFileAtomically(folder.path() / "file", "new").ok());
  EXPECT_EQ(ReadText(folder.path() / "file"), "new");
}

TEST(AtomicWriteTest, AMovedFileIsWrittenOnce) {
  const TemporaryFolder folder;
  auto file = AtomicFile::Create(folder.path() / "file");
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file->Append("a").ok());
  {
    AtomicFile moved = std::move(*file);
    ASSERT_TRUE(moved.Append("b").ok());
    ASSERT_TRUE(moved.Commit().ok());
  }
  EXPECT_EQ(ReadText(folder.path() / "file"), "ab");
}

TEST(AtomicWriteTest, TwoWritersOfOneFileDoNotMix) {
  const TemporaryFolder folder;
  auto first = AtomicFile::Create(folder.path() / "file");
  auto second = AtomicFile::Create(folder.path() / "file");
  ASSERT_TRUE(first.ok() && second.ok());
  ASSERT_TRUE(first->Append("first").ok());
  ASSERT_TRUE(second->Append("second").ok());
  ASSERT_TRUE(second->Commit().ok());
  ASSERT_TRUE(first->Commit().ok());
  EXPECT_EQ(ReadText(folder.path() / "file"), "first");
  EXPECT_EQ(folder.EntryCount(), 1U);
}

TEST(AtomicWriteTest, WritesToTheCurrentFolder) {
  const TemporaryFolder folder;
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  const Status status = WriteFileAtomically("file", "x");
  fs::current_path(before);
  EXPECT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(ReadText(folder.path() / "file"), "x");
}

TEST(AtomicWriteTest, NamesPathAndReasonOfAFolderThatCannotBe) {
  const TemporaryFolder folder;
  WriteText(folder.path() / "file", "x");
  const struct {
    fs::path path;
    const char* reason;
  } cases[] = {
      {folder.path() / "file" / "below", "Not a directory"},
      {folder.path() / "absent" / "file", "No such file or directory"},
      {folder.path() / std::string(300, 'n'), "File name too long"},
      {folder.path(), "it is a folder"},
      {"", "names no file"},
  };
  for (const auto& [path, reason] : cases) {
    const Status status = WriteFileAtomically(path, "x");
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << path;
    EXPECT_THAT(status.message(), HasSubstr(path.string()));
    EXPECT_THAT(status.message(), HasSubstr(reason));
  }
  EXPECT_EQ(folder.EntryCount(), 1U);
}

TEST(AtomicWriteTest, RefusesAReadOnlyFolder) {
  const TemporaryFolder folder;
  fs::permissions(folder.path(), fs::perms(0555));
  Status status;
  {
    const AsOrdinaryUser user;
    status = WriteFileAtomically(folder.path() / "file", "x");
  }
  fs::permissions(folder.path(), fs::perms(0755));
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("Permission denied"));
  EXPECT_EQ(folder.EntryCount(), 0U);
}

TEST(AtomicWriteTest, NeverReplacesADevice) {
  const Status status = WriteFileAtomically("/dev/full", "x");
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("/dev/full"));
  EXPECT_TRUE(fs::is_character_file("/dev/full"));
}

TEST(AtomicWriteTest, AFailedWriteIsFinalAndLeavesTheOldFile) {
  const TemporaryFolder folder;
  WriteText(folder.path() / "file", "old");
  auto file = AtomicFile::Create(folder.path() / "file");
  ASSERT_TRUE(file.ok());
  Status failure;
  {
    const FileSizeLimit limit(4096);
    EXPECT_TRUE(file->Append(std::string(4000, 'x')).ok());
    failure = file->Append(std::string(4000, 'y'));
  }
  EXPECT_EQ(failure.code(), StatusCode::kInternal);
  EXPECT_THAT(failure.message(), HasSubstr("File too large"));
  EXPECT_THAT(failure.message(), HasSubstr((folder.path() / "file").string()));
  EXPECT_EQ(folder.EntryCount(), 1U);  // the temporary is gone at once

  // There is room now, but what was lost stays lost.
  EXPECT_EQ(file->Append("z").message(), failure.message());
  EXPECT_EQ(file->Commit().message(), failure.message());
  EXPECT_EQ(ReadText(folder.path() / "file"), "old");
  EXPECT_EQ(folder.EntryCount(), 1U);
  EXPECT_TRUE(WriteFileAtomically(folder.path() / "file", "new").ok());
}

TEST(AtomicWriteTest, AFailedRenameIsReportedAndCleanedUp) {
  const TemporaryFolder folder;
  auto file = AtomicFile::Create(folder.path() / "file");
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file->Append("x").ok());
  fs::create_directory(folder.path() / "file");  // in the way
  const Status status = file->Commit();
  EXPECT_EQ(status.code(), StatusCode::kInternal);
  EXPECT_THAT(status.message(), HasSubstr("Is a directory"));
  EXPECT_EQ(folder.EntryCount(), 1U);
}

}  // namespace
}  // namespace dcn
