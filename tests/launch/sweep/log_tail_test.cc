#include "launch/sweep/log_tail.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/temporary_folder.h"

namespace dcn::sweep {
namespace {

using ::testing::HasSubstr;

class LogTailTest : public ::testing::Test {
 protected:
  std::string Tail(const std::string& text, std::size_t lines) {
    testing::WriteText(log_, text);
    return ReadLogTail(log_, lines);
  }

  const testing::TemporaryFolder folder_;
  const std::filesystem::path log_ = folder_.path() / "log.txt";
};

TEST_F(LogTailTest, IsEmptyWithoutLines) {
  EXPECT_EQ(ReadLogTail(log_, 3), "");
  EXPECT_EQ(Tail("", 3), "");
  EXPECT_EQ(Tail("\n\r\n", 3), "");
  EXPECT_EQ(Tail("a\n", 0), "");
}

TEST_F(LogTailTest, ShowsTheLastLinesInOrder) {
  EXPECT_EQ(Tail("a\nb\nc\n", 2), "  b\n  c");
  EXPECT_EQ(Tail("a\n\n\nb", 5), "  a\n  b");
  EXPECT_EQ(Tail("step 1\rstep 2\rerror: x\n", 2), "  step 2\n  error: x");
}

TEST_F(LogTailTest, EndsAtTheLastCommand) {
  EXPECT_EQ(Tail("$ worker --seed 1\nold\n$ worker --seed 1\nnew\n", 9), "  new");
}

TEST_F(LogTailTest, ShowsNothingThatMovesTheTerminal) {
  EXPECT_EQ(Tail("\x1b[2Jred\x07\tend\n", 3), "  [2Jredend");
  EXPECT_EQ(Tail(std::string(5000, 'x') + "\n", 3).size(), 502U);
}

TEST_F(LogTailTest, BeginsWithACommandThatAShellTakes) {
  ASSERT_TRUE(StartLog(log_, {"/bin/w", "--data", "my data", "it's", "", "a=b"}, false).ok());
  EXPECT_EQ(testing::ReadText(log_), "$ /bin/w --data 'my data' 'it'\\''s' '' a=b\n");
  ASSERT_TRUE(StartLog(log_, {"/bin/w"}, true).ok());
  EXPECT_THAT(testing::ReadText(log_), HasSubstr("a=b\n$ /bin/w\n"));
  ASSERT_TRUE(StartLog(log_, {"/bin/v"}, false).ok());
  EXPECT_EQ(testing::ReadText(log_), "$ /bin/v\n");
}

TEST_F(LogTailTest, SaysWhereItCannotBeWritten) {
  const Status status = StartLog(folder_.path() / "absent" / "log.txt", {"w"}, false);
  EXPECT_EQ(status.code(), StatusCode::kInternal);
  EXPECT_THAT(status.message(), HasSubstr("absent"));
}

}  // namespace
}  // namespace dcn::sweep
