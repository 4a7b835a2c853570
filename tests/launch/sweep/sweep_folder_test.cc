#include "launch/sweep/sweep_folder.h"

#include <chrono>
#include <string>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/ordinary_user.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::sweep {
namespace {

using ::testing::HasSubstr;

constexpr std::chrono::milliseconds kNoPatience{0};

class SweepFolderTest : public ::testing::Test {
 protected:
  const testing::TemporaryFolder folder_;
  const std::filesystem::path path_ = folder_.path() / "a" / "b";
};

TEST_F(SweepFolderTest, IsMadeWithItsParents) {
  const Result<SweepFolder> folder = SweepFolder::Open(path_, kNoPatience);
  ASSERT_TRUE(folder.ok()) << folder.status().ToString();
  EXPECT_TRUE(std::filesystem::is_directory(path_));
}

TEST_F(SweepFolderTest, IsHeldByOneAtATime) {
  {
    const Result<SweepFolder> first = SweepFolder::Open(path_, kNoPatience);
    ASSERT_TRUE(first.ok());
    // A lock belongs to an open file, so that the same process can stand for another one.
    const Result<SweepFolder> second = SweepFolder::Open(path_, kNoPatience);
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.status().code(), StatusCode::kAlreadyExists);
    EXPECT_THAT(second.status().message(), HasSubstr("process " + std::to_string(::getpid())));
    EXPECT_THAT(second.status().message(), HasSubstr(path_.string()));
  }
  EXPECT_TRUE(SweepFolder::Open(path_, kNoPatience).ok());
}

TEST_F(SweepFolderTest, IsNotTakenFromSomethingElse) {
  std::filesystem::create_directories(path_);
  testing::WriteText(path_ / "thesis.tex", "precious");
  const Result<SweepFolder> folder = SweepFolder::Open(path_, kNoPatience);
  ASSERT_FALSE(folder.ok());
  EXPECT_EQ(folder.status().code(), StatusCode::kAlreadyExists);
  EXPECT_THAT(folder.status().message(), HasSubstr("thesis.tex"));
  testing::WriteText(path_ / "sweep.json", "{}");  // now it is a sweep's
  EXPECT_TRUE(SweepFolder::Open(path_, kNoPatience).ok());
}

TEST_F(SweepFolderTest, CannotBeAFileOrWhereWritingIsForbidden) {
  testing::WriteText(folder_.path() / "file", "");
  const Result<SweepFolder> on_file = SweepFolder::Open(folder_.path() / "file", kNoPatience);
  ASSERT_FALSE(on_file.ok());
  EXPECT_EQ(on_file.status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(SweepFolder::Open(folder_.path() / "file" / "below", kNoPatience).status().code(),
            StatusCode::kInvalidArgument);
  const testing::AsOrdinaryUser nobody;
  const Result<SweepFolder> forbidden = SweepFolder::Open("/dcn-sweep-test", kNoPatience);
  ASSERT_FALSE(forbidden.ok());
  EXPECT_EQ(forbidden.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(forbidden.status().message(), HasSubstr("/dcn-sweep-test"));
}

TEST_F(SweepFolderTest, LeavesNothingWhenUnused) {
  {
    Result<SweepFolder> folder = SweepFolder::Open(path_, kNoPatience);
    ASSERT_TRUE(folder.ok());
    std::filesystem::create_directories(folder->cache());
    folder->RemoveIfUnused();
  }
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(SweepFolderTest, KeepsWhatIsUsed) {
  {
    Result<SweepFolder> folder = SweepFolder::Open(path_, kNoPatience);
    ASSERT_TRUE(folder.ok());
    std::filesystem::create_directories(folder->cache());
    testing::WriteText(folder->cache() / "encoded", "x");
    folder->RemoveIfUnused();
  }
  EXPECT_TRUE(std::filesystem::exists(path_ / "cache" / "encoded"));
}

}  // namespace
}  // namespace dcn::sweep
