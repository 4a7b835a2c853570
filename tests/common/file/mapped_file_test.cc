#include "common/file/mapped_file.h"

#include <filesystem>
#include <optional>
#include <string>
#include <sys/stat.h>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/ordinary_user.h"
#include "tests/testing/temporary_folder.h"

namespace dcn {
namespace {

namespace fs = std::filesystem;
using ::dcn::testing::AsOrdinaryUser;
using ::dcn::testing::TemporaryFolder;
using ::dcn::testing::WriteText;
using ::testing::HasSubstr;

TEST(MappedFileTest, ShowsTheBytesOfFilesOfAnySize) {
  const TemporaryFolder folder;
  for (const std::size_t size : {0U, 1U, 4095U, 4096U, 4097U, 1'000'003U}) {
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 7 % 251);
    WriteText(folder.path() / "file", bytes);
    const auto file = MappedFile::Open(folder.path() / "file");
    ASSERT_TRUE(file.ok()) << file.status().ToString();
    EXPECT_EQ(file->bytes().size(), size);
    EXPECT_EQ(file->text(), bytes);
  }
}

TEST(MappedFileTest, ViewsOutliveAMove) {
  const TemporaryFolder folder;
  WriteText(folder.path() / "a", "text a");
  WriteText(folder.path() / "b", "text b");
  auto a = MappedFile::Open(folder.path() / "a");
  auto b = MappedFile::Open(folder.path() / "b");
  ASSERT_TRUE(a.ok() && b.ok());
  const std::string_view view = a->text();
  std::optional<MappedFile> moved = std::move(*a);
  EXPECT_EQ(moved->text().data(), view.data());
  EXPECT_TRUE(a->text().empty());
  *b = std::move(*moved);
  moved.reset();
  EXPECT_EQ(b->text(), "text a");
  EXPECT_EQ(view, "text a");
}

TEST(MappedFileTest, SeesTheOldFileWhenItIsReplaced) {
  const TemporaryFolder folder;
  WriteText(folder.path() / "file", "old");
  WriteText(folder.path() / "next", "newer");
  const auto file = MappedFile::Open(folder.path() / "file");
  fs::rename(folder.path() / "next", folder.path() / "file");
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->text(), "old");
}

TEST(MappedFileTest, NamesWhatCannotBeOpenedAndWhy) {
  const TemporaryFolder folder;
  WriteText(folder.path() / "file", "x");
  ASSERT_EQ(::mkfifo((folder.path() / "pipe").c_str(), 0600), 0);
  const struct {
    fs::path path;
    StatusCode code;
    const char* reason;
  } cases[] = {
      {folder.path() / "absent", StatusCode::kNotFound, "No such file or directory"},
      {folder.path() / "file" / "below", StatusCode::kNotFound, "Not a directory"},
      {folder.path(), StatusCode::kInvalidArgument, "it is a folder"},
      {folder.path() / "pipe", StatusCode::kInvalidArgument, "pipe"},
      {"/dev/null", StatusCode::kInvalidArgument, "device"},
  };
  for (const auto& [path, code, reason] : cases) {
    const auto file = MappedFile::Open(path);
    EXPECT_EQ(file.status().code(), code) << path;
    EXPECT_THAT(file.status().message(), HasSubstr(path.string()));
    EXPECT_THAT(file.status().message(), HasSubstr(reason));
  }
}

TEST(MappedFileTest, RefusesAnUnreadableFile) {
  const TemporaryFolder folder;
  fs::permissions(folder.path(), fs::perms(0755));
  WriteText(folder.path() / "file", "x");
  fs::permissions(folder.path() / "file", fs::perms::none);
  const AsOrdinaryUser user;
  const auto file = MappedFile::Open(folder.path() / "file");
  EXPECT_EQ(file.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(file.status().message(), HasSubstr("Permission denied"));
}

}  // namespace
}  // namespace dcn
