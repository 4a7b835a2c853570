#include "launch/sweep/child_process.h"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <sstream>
#include <string>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/file/lock_file.h"
#include "launch/job/launcher.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::sweep {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

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

TEST_F(ChildProcessTest, IsNoRankOfAnMpiJobThatThisProcessIsIn) {
  for (const char* const name : job::kRankVariables) ::setenv(name, "2", 1);
  ::setenv("OMPI_COMM_WORLD_SIZES", "stays", 1);
  WaitFor(Start("env"));
  for (const char* const name : job::kRankVariables) {
    EXPECT_THAT(testing::ReadText(log_), Not(HasSubstr(std::string(name) + "=")));
    ::unsetenv(name);
  }
  EXPECT_THAT(testing::ReadText(log_), HasSubstr("OMPI_COMM_WORLD_SIZES=stays"));
  EXPECT_THAT(testing::ReadText(log_), HasSubstr("PATH="));
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

TEST_F(ChildProcessTest, PassesAHeldLockOnToAllThatItStarts) {
  const std::filesystem::path file = folder_.path() / "lock";
  Result<FileDescriptor> lock = LockFile(file);
  ASSERT_TRUE(lock.ok());
  // The shell ends and leaves the other one behind, which says that it is there.
  const std::string script = "sleep 600 & echo $!";
  const Result<pid_t> process = StartProcess({"/bin/sh", "-c", script}, log_, *lock);
  ASSERT_TRUE(process.ok()) << process.status().ToString();
  lock->Close();
  EXPECT_EQ(WaitFor(*process), ProcessExit{});
  EXPECT_EQ(LockFile(file).status().code(), StatusCode::kUnavailable);
  ASSERT_EQ(::kill(std::stoi(testing::ReadText(log_)), SIGKILL), 0);
  EXPECT_TRUE(LockFile(file, 60s).ok());
}

TEST_F(ChildProcessTest, HoldsNothingElse) {
  const Result<FileDescriptor> lock = LockFile(folder_.path() / "lock");
  ASSERT_TRUE(lock.ok());
  WaitFor(Start("ls /proc/$$/fd"));
  std::istringstream open(testing::ReadText(log_));
  for (int descriptor = 0; open >> descriptor;) {
    EXPECT_NE(descriptor, kHeldDescriptor);
    EXPECT_NE(descriptor, lock->get());
  }
}

TEST_F(ChildProcessTest, IsKilledAlone) {
  // What it has started sees that it is gone, and ends in its own way.
  const pid_t process = Start("(sleep 600; echo late) & echo $! && wait");
  while (testing::ReadText(log_).empty()) EXPECT_EQ(signals_.Wait(10ms), 0);
  SignalProcess(process, SIGKILL);
  EXPECT_EQ(WaitFor(process), (ProcessExit{.signal = SIGKILL}));
  EXPECT_EQ(::kill(std::stoi(testing::ReadText(log_)), 0), 0);
  SignalProcess(process, SIGTERM);  // the group is still there
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
