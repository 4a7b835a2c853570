#include "launch/sweep/child_process.h"

#include <chrono>
#include <csignal>
#include <optional>
#include <string>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/temporary_folder.h"

namespace dcn::sweep {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

class ChildProcessTest : public ::testing::Test {
 protected:
  pid_t Start(const std::string& script) {
    const Result<pid_t> process = StartProcess({"/bin/sh", "-c", script}, log_);
    EXPECT_TRUE(process.ok()) << process.status().ToString();
    return process.ok() ? *process : -1;
  }

  ProcessExit WaitFor(pid_t process) {
    while (true) {
      if (const std::optional<ProcessExit> exit = PollProcess(process)) return *exit;
      EXPECT_EQ(signals_.Wait(60s), SIGCHLD);
    }
  }

  const testing::TemporaryFolder folder_;
  const std::filesystem::path log_ = folder_.path() / "log.txt";
  const BlockedSignals signals_;
};

TEST_F(ChildProcessTest, TellsTheExitCode) {
  for (const int code : {0, 1, 6, 127, 255}) {
    EXPECT_EQ(WaitFor(Start("exit " + std::to_string(code))), (ProcessExit{.code = code}));
  }
}

TEST_F(ChildProcessTest, TellsTheSignal) {
  EXPECT_EQ(WaitFor(Start("kill -9 $$")), (ProcessExit{.signal = SIGKILL}));
  EXPECT_EQ(WaitFor(Start("kill -11 $$")), (ProcessExit{.signal = SIGSEGV}));
}

TEST_F(ChildProcessTest, AppendsBothOutputsToTheLog) {
  testing::WriteText(log_, "first\n");
  WaitFor(Start("echo out; echo err >&2"));
  EXPECT_EQ(testing::ReadText(log_), "first\nout\nerr\n");
}

TEST_F(ChildProcessTest, HasNoInputAndAGroupOfItsOwn) {
  const pid_t process = Start("cat; ps -o pgid= -p $$ 2>/dev/null || cut -d' ' -f5 /proc/$$/stat");
  EXPECT_EQ(WaitFor(process), ProcessExit{});
  EXPECT_THAT(testing::ReadText(log_), HasSubstr(std::to_string(process)));
}

TEST_F(ChildProcessTest, CanBeStoppedAlthoughThisThreadBlocksTheSignals) {
  // The shell ends at once or during the sleep, whichever comes first.
  const pid_t process = Start("sleep 600");
  SignalProcess(process, SIGTERM);
  EXPECT_EQ(WaitFor(process), (ProcessExit{.signal = SIGTERM}));
}

TEST_F(ChildProcessTest, SaysWhichProgramCannotBeExecuted) {
  const Result<pid_t> process = StartProcess({"/absent/dcn_worker"}, log_);
  ASSERT_FALSE(process.ok());
  EXPECT_EQ(process.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(process.status().message(), HasSubstr("/absent/dcn_worker: No such file"));
}

TEST_F(ChildProcessTest, SaysWhichLogCannotBeOpened) {
  const Result<pid_t> process = StartProcess({"/bin/true"}, folder_.path() / "absent" / "log");
  ASSERT_FALSE(process.ok());
  EXPECT_EQ(process.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(process.status().message(), HasSubstr("absent"));
}

TEST_F(ChildProcessTest, WaitsForTheBlockedSignals) {
  EXPECT_EQ(signals_.Wait(0ms), 0);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    ASSERT_EQ(::kill(::getpid(), signal), 0);
    EXPECT_EQ(signals_.Wait(60s), signal);
  }
}

}  // namespace
}  // namespace dcn::sweep
