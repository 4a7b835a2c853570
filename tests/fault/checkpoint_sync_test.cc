// What a machine that goes down may take with it: all that was not synced. So a checkpoint counts
// only after its files, their names and its own name are on the disk, in that order; the one before
// goes later still.
//
// strace shows what an undisturbed run syncs and when. That the check sees what is missing is shown
// by leaving syncs out of the trace.
#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
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
using ::testing::IsEmpty;
using ::testing::Not;
using testing::RunCommand;
using testing::ServerProcess;
using testing::TracedCall;
using testing::WorkerCommandLine;

constexpr std::size_t kEnd = SIZE_MAX;  // of a trace

bool IsRename(const TracedCall& call) { return call.call.name == "rename" && call.has_succeeded; }

bool IsRemoval(const TracedCall& call) {
  return call.call.name == "unlink" || call.call.name == "unlinkat" || call.call.name == "rmdir";
}

bool IsFsync(const TracedCall& call) { return call.call.name == "fsync"; }

// Whether the call leaves something in a file that a sync has to bring to the disk.
bool IsWrite(const TracedCall& call) {
  const std::string& name = call.call.name;
  return name.find("write") != std::string::npos || name == "ftruncate" ||
         call.arguments.find("O_CREAT") != std::string::npos;
}

// What one run did to files, and what of that the machine's going down could spoil.
class SyncOrder {
 public:
  explicit SyncOrder(std::vector<TracedCall> calls) : calls_(std::move(calls)) {}

  // Of a checkpoint that this run has committed. removed: the one that it removed then. report: of
  // the file `log`, what says that the checkpoint is written.
  [[nodiscard]] std::vector<std::string> LossesOf(const fs::path& checkpoint,
                                                  const fs::path& removed, const fs::path& log,
                                                  const std::string& report) const {
    const TracedCall* const commit = RenameTo(checkpoint / "manifest.json");
    const TracedCall* const made = Find("mkdir", checkpoint);
    if (commit == nullptr || made == nullptr) return {checkpoint.string() + ": not written"};
    std::vector<std::string> losses = FileLossesOf(checkpoint, commit->begin);
    const auto demand = [&](bool is_so, const std::string& what) {
      if (!is_so) losses.push_back(what);
    };
    demand(IsSynced(checkpoint.parent_path(), made->end, commit->begin),
           "the checkpoint's folder: its name is not synced before the commit");
    int removals = 0;
    int reports = 0;
    for (const TracedCall& call : calls_) {
      if (IsRemoval(call) && IsIn(call.call.path, removed)) {
        ++removals;
        demand(IsSynced(checkpoint, commit->end, call.begin),
               call.call.path + ": removed before the commit is synced");
      }
      if (call.call.path == log && call.arguments.find(report) != std::string::npos) {
        ++reports;
        demand(IsSynced(checkpoint, commit->end, call.begin),
               "the checkpoint is said to be written before the commit is synced");
      }
    }
    demand(removals > 0, removed.string() + ": not removed");
    demand(reports > 0, "the checkpoint is not said to be written");
    return losses;
  }

  // Of the files of a checkpoint: those that are not on the disk, under their names, by `until`.
  // The manifest comes after that and needs a sync of its own, before its rename, only.
  [[nodiscard]] std::vector<std::string> FileLossesOf(const fs::path& checkpoint,
                                                      std::size_t until) const {
    std::set<std::string> written;
    for (const TracedCall& call : calls_) {
      if (IsWrite(call) && IsIn(call.call.path, checkpoint)) written.insert(call.call.path);
    }
    std::vector<std::string> losses;
    if (written.empty()) losses.push_back(checkpoint.string() + ": no file is written");
    for (const std::string& file : written) {
      const TracedCall* const rename = RenameFrom(file);
      const std::size_t named = rename == nullptr ? FirstWriteOf(file) : rename->end;
      if (!IsSynced(file, LastWriteOf(file), rename == nullptr ? until : rename->begin)) {
        losses.push_back(file + ": not synced between its last write and its rename or the commit");
      }
      const bool is_manifest = rename != nullptr && rename->begin == until;
      if (!is_manifest && !IsSynced(checkpoint, named, until)) {
        losses.push_back(file + ": its name is not synced before the commit");
      }
    }
    return losses;
  }

 private:
  // The path itself, or below it.
  static bool IsIn(const std::string& path, const fs::path& folder) {
    return path == folder || path.starts_with(folder.string() + "/");
  }
  // Whether all of a sync of the path lies between the two places.
  [[nodiscard]] bool IsSynced(const std::string& path, std::size_t after,
                              std::size_t before) const {
    return std::ranges::any_of(calls_, [&](const TracedCall& call) {
      return IsFsync(call) && call.has_succeeded && call.call.path == path && call.begin > after &&
             call.end < before;
    });
  }
  [[nodiscard]] const TracedCall* Find(std::string_view name, const std::string& path) const {
    const auto found = std::ranges::find_if(calls_, [&](const TracedCall& call) {
      return call.call.name == name && call.call.path == path && call.has_succeeded;
    });
    return found == calls_.end() ? nullptr : &*found;
  }
  [[nodiscard]] const TracedCall* RenameFrom(const std::string& path) const {
    return Find("rename", path);
  }
  [[nodiscard]] const TracedCall* RenameTo(const std::string& target) const {
    const auto found = std::ranges::find_if(
        calls_, [&](const TracedCall& call) { return IsRename(call) && call.target == target; });
    return found == calls_.end() ? nullptr : &*found;
  }
  [[nodiscard]] std::size_t FirstWriteOf(const std::string& file) const {
    const auto found = std::ranges::find_if(
        calls_, [&](const TracedCall& call) { return IsWrite(call) && call.call.path == file; });
    return found == calls_.end() ? kEnd : found->end;
  }
  // Where the last of them had returned.
  [[nodiscard]] std::size_t LastWriteOf(const std::string& file) const {
    std::size_t last = 0;
    for (const TracedCall& call : calls_) {
      if (IsWrite(call) && call.call.path == file) last = std::max(last, call.end);
    }
    return last;
  }

  std::vector<TracedCall> calls_;
};

class CheckpointSync : public ::testing::Test {
 protected:
  void SetUp() override { DCN_SKIP_WITHOUT_TRACING(); }

  // A run of `steps` steps whose log is the file log_.
  [[nodiscard]] std::vector<std::string> Run(std::uint64_t steps,
                                             const std::vector<std::string>& more) const {
    std::vector<std::string> command = {"sh", "-c", "exec \"$@\" 2>\"$0\"", log_};
    std::vector<std::string> arguments = testing::CheckpointedRun(checkpoints_, steps, more);
    arguments.insert(arguments.end(),
                     {"--resume", "--checkpoint-keep", "1", "--log-level", "debug"});
    for (std::string& word : WorkerCommandLine(0, arguments)) command.push_back(std::move(word));
    return command;
  }
  void RunToItsEnd(const std::vector<std::string>& command) const {
    const CommandResult result = RunCommand(command);
    EXPECT_EQ(result.exit_code, 0) << testing::ReadText(log_);
  }
  [[nodiscard]] std::vector<std::string> Losses(std::vector<TracedCall> calls) const {
    return SyncOrder(std::move(calls))
        .LossesOf(testing::CheckpointPath(checkpoints_, 20, 2),
                  testing::CheckpointPath(checkpoints_, 10, 1), log_, "checkpoint of step 20: ");
  }

  testing::TemporaryFolder temporary_;
  const fs::path folder_ = fs::canonical(temporary_.path());  // as strace names it
  const fs::path checkpoints_ = folder_ / "checkpoints";
  const fs::path log_ = folder_ / "log";
};

TEST_F(CheckpointSync, AllIsOnTheDiskBeforeACheckpointCountsAndTheOneBeforeGoes) {
  const fs::path trace = folder_ / "trace";
  RunToItsEnd(Run(10, {"--shards", "2"}));
  RunToItsEnd(testing::TracedCommand(trace, Run(20, {"--shards", "2"})));
  const std::vector<TracedCall> calls = testing::ReadFileCalls(trace, folder_);
  EXPECT_THAT(Losses(calls), IsEmpty());

  // Without its syncs, each file and folder is found.
  const fs::path checkpoint = testing::CheckpointPath(checkpoints_, 20, 2);
  std::set<std::string> synced = {checkpoints_};
  for (const TracedCall& call : calls) {
    if (IsFsync(call) && call.call.path.starts_with(checkpoint.string())) {
      synced.insert(call.call.path);
    }
  }
  EXPECT_EQ(synced.size(), 6U);  // two folders, the files of two shards, of the rest, the manifest
  for (const std::string& path : synced) {
    std::vector<TracedCall> fewer = calls;
    std::erase_if(fewer, [&](const auto& call) { return IsFsync(call) && call.call.path == path; });
    EXPECT_THAT(Losses(fewer), Not(IsEmpty())) << path;
  }
  // The last one of the checkpoint's folder is the commit's.
  std::vector<TracedCall> uncommitted = calls;
  const auto last = std::find_if(uncommitted.rbegin(), uncommitted.rend(), [&](const auto& call) {
    return IsFsync(call) && call.call.path == checkpoint;
  });
  ASSERT_NE(last, uncommitted.rend());
  last->has_succeeded = false;
  EXPECT_THAT(Losses(uncommitted), Not(IsEmpty()));
}

// That the commit waits for the server's syncs shows in checkpoint_write_test: a server that is
// killed at one of them leaves the old checkpoint.
TEST_F(CheckpointSync, AServersFileIsOnTheDiskUnderItsName) {
  const fs::path trace = folder_ / "trace";
  ServerProcess server(folder_, "server", {"--checkpoint-root", folder_}, "127.0.0.1:0",
                       [&](const std::vector<std::string>& command) {
                         return testing::TracedCommand(trace, command);
                       });
  RunToItsEnd(Run(10, {"--servers", server.address()}));
  EXPECT_EQ(server.Stop(SIGTERM).exit_code, 0);
  const std::vector<TracedCall> calls = testing::ReadFileCalls(trace, checkpoints_);
  const fs::path checkpoint = testing::CheckpointPath(checkpoints_, 10, 1);
  EXPECT_THAT(SyncOrder(calls).FileLossesOf(checkpoint, kEnd), IsEmpty());
  std::vector<TracedCall> unsynced = calls;
  std::erase_if(unsynced, IsFsync);
  EXPECT_EQ(SyncOrder(unsynced).FileLossesOf(checkpoint, kEnd).size(), 2U);  // the file, its name
}

TEST_F(CheckpointSync, EveryLevelOfANewFolderIsSyncedBeforeItsFirstCheckpoint) {
  const fs::path trace = folder_ / "trace";
  const fs::path made = folder_ / "a" / "b" / "c";
  const CommandResult result = RunCommand(testing::TracedCommand(
      trace, WorkerCommandLine(0, testing::CheckpointedRun(made, 10, {"--shards", "2"}))));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::vector<TracedCall> calls = testing::ReadFileCalls(trace, folder_);
  const auto find = [&](const std::string& name, const fs::path& path) {
    const auto found = std::ranges::find_if(calls, [&](const TracedCall& call) {
      return call.call.name == name && call.call.path == path && call.has_succeeded;
    });
    EXPECT_NE(found, calls.end()) << name << " of " << path;
    return found == calls.end() ? TracedCall() : *found;
  };
  for (const fs::path& level : {folder_ / "a", folder_ / "a" / "b", made}) {
    const TracedCall synced = find("fsync", level.parent_path());
    EXPECT_GT(synced.begin, find("mkdir", level).end) << level;
    EXPECT_LT(synced.end, find("mkdir", testing::CheckpointPath(made, 10, 1)).begin);
  }
}

}  // namespace
}  // namespace dcn
