// kill -9 at the system calls of a checkpoint write: whatever is on the disk then, every load gives
// the old checkpoint or the new one, and the run that goes on from it comes to the same answer.
//
// An undisturbed run shows which calls there are, on which files, from the taking of the folder to
// the removal of what is too old. Some of them, spread evenly, are killed at; all of them with
// DCN_FAULT_FULL=1 tests/fault/repeat.sh checkpoint_write.
#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/testing/checkpointed_run.h"
#include "tests/testing/command.h"
#include "tests/testing/distributed_run.h"
#include "tests/testing/server_process.h"
#include "tests/testing/temporary_folder.h"
#include "tests/testing/traced_command.h"

namespace dcn {
namespace {

namespace fs = std::filesystem;
using testing::CommandResult;
using testing::FileCall;
using testing::RunCommand;
using testing::ServerProcess;
using testing::WorkerCommandLine;

// The run that is killed ends at this step, the one after it at the next.
constexpr std::uint64_t kKilledSteps = 20;
constexpr std::uint64_t kSteps = 30;

// At most `count` of the calls, evenly spread, the first and the last among them.
std::vector<FileCall> Sample(std::vector<FileCall> calls, std::size_t count) {
  if (std::getenv("DCN_FAULT_FULL") != nullptr || calls.size() <= count) return calls;
  std::vector<FileCall> sample;
  for (std::size_t i = 0; i < count; ++i) {
    sample.push_back(calls[i * (calls.size() - 1) / (count - 1)]);
  }
  return sample;
}

class CheckpointWrite : public ::testing::Test {
 protected:
  void SetUp() override {
    DCN_SKIP_WITHOUT_TRACING();
    oracle_ = testing::OracleDigest(kSteps);
    ASSERT_FALSE(oracle_.empty());
  }

  // Makes the checkpoint of step 10, epoch 1, that killed runs go on from.
  void MakeBase() {
    const CommandResult result =
        RunCommand(WorkerCommandLine(0, testing::CheckpointedRun(base_, 10, {"--shards", "2"})));
    ASSERT_EQ(result.exit_code, 0) << result.err;
  }

  [[nodiscard]] std::vector<std::string> Run(std::uint64_t steps,
                                             const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = testing::CheckpointedRun(checkpoints_, steps, more);
    arguments.insert(arguments.end(), {"--resume", "--checkpoint-keep", "1"});
    return WorkerCommandLine(0, arguments);
  }

  // What an undisturbed worker does in the folder of checkpoints.
  std::vector<FileCall> CallsOfTheWorker() {
    testing::ReplaceFolder(base_, checkpoints_);
    const fs::path trace = folder_ / "trace";
    const CommandResult result =
        RunCommand(testing::TracedCommand(trace, Run(kKilledSteps, {"--shards", "2"})));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return testing::ReadFileCalls(trace, checkpoints_);
  }

  // After a kill: what loads, and what the run comes to that goes on from there.
  void ExpectOldOrNew(std::uint64_t old_step, const std::vector<std::string>& more) {
    const std::uint64_t loaded = testing::NewestStep(checkpoints_);
    EXPECT_TRUE(loaded == old_step || loaded == kKilledSteps) << loaded;
    ++(loaded == old_step ? loaded_old_ : loaded_new_);
    const CommandResult result = RunCommand(Run(kSteps, more));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(testing::DigestIn(result.out), oracle_) << result.err;
    const std::string resumed = fmt::format("resumed from step {} of checkpoint", loaded);
    EXPECT_EQ(result.err.find(resumed) != std::string::npos, loaded > 0) << result.err;
    EXPECT_EQ(testing::NewestStep(checkpoints_), kSteps);
    EXPECT_EQ(testing::UnfinishedIn(checkpoints_), "");
  }

  void KillTheWorker(const std::vector<FileCall>& calls, std::uint64_t old_step) {
    for (const FileCall& call : calls) {
      SCOPED_TRACE(fmt::format("killed at {} {} of {}", call.name, call.nth, call.path));
      testing::ReplaceFolder(base_, checkpoints_);
      const CommandResult killed =
          RunCommand(testing::CommandKilledAt(call, Run(kKilledSteps, {"--shards", "2"})));
      EXPECT_EQ(killed.signal, SIGKILL) << killed.err;
      ExpectOldOrNew(old_step, {"--shards", "2"});
    }
  }

  void Report(const std::string& what, std::size_t kills, std::size_t calls) const {
    fmt::print(
        "{}: killed at {} of {} system calls; the old checkpoint loaded {} times, the new "
        "one {} times\n",
        what, kills, calls, loaded_old_, loaded_new_);
  }

  testing::TemporaryFolder temporary_;
  const fs::path folder_ = fs::canonical(temporary_.path());  // as strace names it
  const fs::path base_ = folder_ / "base";
  const fs::path checkpoints_ = folder_ / "checkpoints";
  std::string oracle_;
  int loaded_old_ = 0;
  int loaded_new_ = 0;
};

TEST_F(CheckpointWrite, AWorkerKilledAtAnyCallLeavesTheOldOrTheNewCheckpoint) {
  MakeBase();
  const std::vector<FileCall> calls = CallsOfTheWorker();
  ASSERT_GE(calls.size(), 100U);
  const std::vector<FileCall> sample = Sample(calls, 16);
  KillTheWorker(sample, 10);
  Report("worker", sample.size(), calls.size());
  EXPECT_GT(loaded_old_, 0);
  EXPECT_GT(loaded_new_, 0);
}

TEST_F(CheckpointWrite, AWorkerKilledAtTheCommitLeavesTheOldOrTheNewCheckpoint) {
  MakeBase();
  std::vector<FileCall> calls = CallsOfTheWorker();
  std::erase_if(calls, [](const FileCall& call) {
    return call.path.find("manifest.json") == std::string::npos && call.name != "rename" &&
           call.name != "mkdir" && call.name != "rmdir";
  });
  ASSERT_GE(calls.size(), 10U);
  KillTheWorker(calls, 10);
  Report("commit", calls.size(), calls.size());
  EXPECT_GT(loaded_old_, 0);
  EXPECT_GT(loaded_new_, 0);
}

TEST_F(CheckpointWrite, AWorkerKilledInItsFirstCheckpointLeavesNoneOrAWholeOne) {
  const std::vector<FileCall> calls = CallsOfTheWorker();
  ASSERT_GE(calls.size(), 100U);
  const std::vector<FileCall> sample = Sample(calls, 8);
  for (const FileCall& call : sample) {
    SCOPED_TRACE(fmt::format("killed at {} {} of {}", call.name, call.nth, call.path));
    testing::ReplaceFolder(base_, checkpoints_);
    const CommandResult killed =
        RunCommand(testing::CommandKilledAt(call, Run(kKilledSteps, {"--shards", "2"})));
    EXPECT_EQ(killed.signal, SIGKILL) << killed.err;
    const std::uint64_t loaded = testing::NewestStep(checkpoints_);
    // The run makes two checkpoints, of which it keeps one.
    ExpectOldOrNew(loaded == 10 ? 10 : 0, {"--shards", "2"});
  }
  Report("first checkpoint", sample.size(), calls.size());
}

TEST_F(CheckpointWrite, EveryLevelOfANewFolderIsSyncedBeforeItsFirstCheckpoint) {
  const fs::path trace = folder_ / "trace";
  const fs::path made = folder_ / "a" / "b" / "c";
  const CommandResult result = RunCommand(testing::TracedCommand(
      trace, WorkerCommandLine(0, testing::CheckpointedRun(made, 10, {"--shards", "2"}))));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::vector<FileCall> calls = testing::ReadFileCalls(trace, folder_);
  const auto place = [&](const std::string& name, const fs::path& path) {
    const auto is_it = [&](const FileCall& call) {
      return call.name == name && call.path == path.string();
    };
    const auto found = std::ranges::find_if(calls, is_it);
    EXPECT_NE(found, calls.end()) << name << " of " << path;
    return found - calls.begin();
  };
  for (const fs::path& level : {folder_ / "a", folder_ / "a" / "b", made}) {
    EXPECT_GT(place("fsync", level.parent_path()), place("mkdir", level)) << level;
    EXPECT_LT(place("fsync", level.parent_path()),
              place("mkdir", testing::CheckpointPath(made, 10, 1)));
  }
}

// A job with two servers, the second of which is killed.
class ServerCheckpointWrite : public CheckpointWrite {
 protected:
  void StartServers(const ServerProcess::Wrapper& wrapper) {
    const std::vector<std::string> arguments = {"--checkpoint-root", folder_};
    first_ = std::make_unique<ServerProcess>(folder_, "first", arguments);
    second_ = std::make_unique<ServerProcess>(folder_, "second", arguments, "127.0.0.1:0", wrapper);
  }
  [[nodiscard]] std::vector<std::string> Servers() const {
    return {"--servers", first_->address() + "," + second_->address()};
  }

  std::unique_ptr<ServerProcess> first_;
  std::unique_ptr<ServerProcess> second_;
};

TEST_F(ServerCheckpointWrite, AServerKilledAtAnyCallLeavesTheOldOrTheNewCheckpoint) {
  MakeBase();
  testing::ReplaceFolder(base_, checkpoints_);
  const fs::path trace = folder_ / "trace";
  StartServers([&](const std::vector<std::string>& command) {
    return testing::TracedCommand(trace, command);
  });
  const CommandResult undisturbed = RunCommand(Run(kKilledSteps, Servers()));
  ASSERT_EQ(undisturbed.exit_code, 0) << undisturbed.err;
  EXPECT_EQ(second_->Stop(SIGTERM).exit_code, 0);
  const std::vector<FileCall> calls = testing::ReadFileCalls(trace, checkpoints_);
  ASSERT_GE(calls.size(), 20U);

  const std::vector<FileCall> sample = Sample(calls, 8);
  for (const FileCall& call : sample) {
    SCOPED_TRACE(fmt::format("killed at {} {} of {}", call.name, call.nth, call.path));
    testing::ReplaceFolder(base_, checkpoints_);
    StartServers([&](const std::vector<std::string>& command) {
      return testing::CommandKilledAt(call, command);
    });
    const CommandResult lost = RunCommand(Run(kKilledSteps, Servers()));
    EXPECT_EQ(lost.exit_code, 4) << lost.err;
    EXPECT_NE(lost.err.find(second_->address()), std::string::npos) << lost.err;
    EXPECT_EQ(second_->Stop(0).signal, SIGKILL);
    // The first server still has what it had; the second one begins anew.
    second_ = std::make_unique<ServerProcess>(
        folder_, "second", std::vector<std::string>{"--checkpoint-root", folder_});
    ExpectOldOrNew(10, Servers());
  }
  Report("server", sample.size(), calls.size());
  EXPECT_GT(loaded_old_, 0);
}

}  // namespace
}  // namespace dcn
