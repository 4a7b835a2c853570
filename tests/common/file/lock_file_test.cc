#include "common/file/lock_file.h"

#include <chrono>
#include <memory>
#include <string_view>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/named_thread.h"
#include "tests/testing/temporary_folder.h"

namespace dcn {
namespace {

using namespace std::chrono_literals;

class LockFileTest : public ::testing::Test {
 protected:
  const testing::TemporaryFolder folder_;
  const std::filesystem::path file_ = folder_.path() / "lock";
};

// A lock belongs to an open file, so that the same process can stand for another one.
TEST_F(LockFileTest, IsHeldByOneAtATimeWhoIsNamed) {
  {
    const Result<FileDescriptor> first = LockFile(file_);
    ASSERT_TRUE(first.ok()) << first.status().ToString();
    EXPECT_EQ(LockFile(file_).status().message(), "process unknown");
    ASSERT_TRUE(NameHolder(*first, 12345).ok());
    ASSERT_TRUE(NameHolder(*first, 678).ok());
    const Result<FileDescriptor> second = LockFile(file_);
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.status().code(), StatusCode::kUnavailable);
    EXPECT_EQ(second.status().message(), "process 678");
  }
  EXPECT_TRUE(LockFile(file_).ok());
}

TEST_F(LockFileTest, WaitsForAHolderThatEnds) {
  Result<FileDescriptor> held = LockFile(file_);
  ASSERT_TRUE(held.ok());
  EXPECT_EQ(LockFile(file_, 1ms).status().code(), StatusCode::kUnavailable);
  const NamedThread holder(
      "holder", [lock = std::make_shared<FileDescriptor>(*std::move(held))] { lock->Close(); },
      [](std::string_view) {});
  EXPECT_TRUE(LockFile(file_, 60s).ok());
}

TEST_F(LockFileTest, SaysWhatCannotBeOpened) {
  const Result<FileDescriptor> lock = LockFile(folder_.path() / "absent" / "lock", 60s);
  ASSERT_FALSE(lock.ok());
  EXPECT_EQ(lock.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(lock.status().message(), ::testing::HasSubstr("absent"));
}

}  // namespace
}  // namespace dcn
