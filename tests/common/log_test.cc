#include "common/log.h"

#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

namespace dcn {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

class LogTest : public ::testing::Test {
 protected:
  ~LogTest() override { spdlog::set_default_logger(before_); }

 private:
  std::shared_ptr<spdlog::logger> before_ = spdlog::default_logger();
};

TEST_F(LogTest, TakesEveryLevelByName) {
  const char* const names[] = {"trace", "debug", "info", "warning", "error", "critical", "off"};
  int expected = spdlog::level::trace;
  for (const char* name : names) {
    ASSERT_TRUE(SetUpLogging("program", name).ok()) << name;
    EXPECT_EQ(spdlog::default_logger()->level(), expected++);
  }
}

TEST_F(LogTest, ListsTheValidLevelsWhenOneIsUnknown) {
  ASSERT_TRUE(SetUpLogging("program", "debug").ok());
  for (const char* name : {"", "loud", "INFO", "warn"}) {
    const Status status = SetUpLogging("program", name);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(status.message(), HasSubstr(std::string("'") + name + "'"));
    EXPECT_THAT(status.message(), HasSubstr("trace, debug, info, warning, error, critical, off"));
  }
  EXPECT_EQ(spdlog::default_logger()->level(), spdlog::level::debug);
}

TEST_F(LogTest, WritesLinesToStderrFromItsLevelUp) {
  ::testing::internal::CaptureStderr();
  ::testing::internal::CaptureStdout();
  ASSERT_TRUE(SetUpLogging("dcn_worker[2]", "info").ok());
  spdlog::debug("hidden");
  spdlog::info("loaded {} rows", 3);
  spdlog::default_logger()->flush();
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "");
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              MatchesRegex("[0-9-]+ [0-9:.]+ dcn_worker\\[2\\] info: loaded 3 rows\n"));
}

}  // namespace
}  // namespace dcn
