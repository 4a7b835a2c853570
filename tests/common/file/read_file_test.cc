#include "common/file/read_file.h"

#include <filesystem>
#include <string>
#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/ordinary_user.h"
#include "tests/testing/temporary_folder.h"

namespace dcn {
namespace {

using ::testing::HasSubstr;
using testing::TemporaryFolder;
using testing::WriteText;

TEST(ReadFileTest, GivesEveryByteOfAFileUpToTheLimit) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "file";
  for (const std::size_t size : {0U, 1U, 65535U, 65536U, 65537U, 200000U}) {
    SCOPED_TRACE(size);
    std::string text(size, 'x');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 7);
    WriteText(path, text);
    for (const std::size_t limit : {size, size + 1, std::size_t{1} << 30}) {
      const auto read = ReadFile(path, limit);
      ASSERT_TRUE(read.ok()) << read.status().ToString();
      EXPECT_EQ(*read, text);
    }
    if (size == 0) continue;
    const Status longer = ReadFile(path, size - 1).status();
    EXPECT_EQ(longer.code(), StatusCode::kOutOfRange);
    EXPECT_EQ(longer.message(),
              path.string() + ": more than " + std::to_string(size - 1) + " bytes");
  }
}

TEST(ReadFileTest, NamesWhatCannotBeRead) {
  const TemporaryFolder folder;
  EXPECT_EQ(ReadFile(folder.path() / "none", 9).status().code(), StatusCode::kNotFound);
  const Status is_folder = ReadFile(folder.path(), 9).status();
  EXPECT_EQ(is_folder.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(is_folder.message(), HasSubstr("it is a folder"));
  ASSERT_EQ(::mkfifo((folder.path() / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(ReadFile(folder.path() / "pipe", 9).status().message(), HasSubstr("pipe or socket"));
  WriteText(folder.path() / "file", "x");
  std::filesystem::permissions(folder.path() / "file", std::filesystem::perms{0});
  const testing::AsOrdinaryUser user;
  const Status denied = ReadFile(folder.path() / "file", 9).status();
  EXPECT_EQ(denied.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(denied.message(), HasSubstr("file: Permission denied"));
}

TEST(ReadFileTest, ADiskThatDoesNotGiveTheBytesIsAnError) {
  // A regular file whose first byte cannot be read.
  const Status status = ReadFile("/proc/self/mem", 9).status();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_EQ(status.message(), "cannot read /proc/self/mem: Input/output error");
}

}  // namespace
}  // namespace dcn
