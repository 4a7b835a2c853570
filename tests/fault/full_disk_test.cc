// A disk that takes no checkpoint: full, read-only, too small a limit, errors of its system calls.
// The checkpoint fails, with file and reason in the log; training goes on and comes to the same
// answer; the checkpoint before stays; the next one is written as soon as the disk takes it.
//
// Root makes the small disks, strace the errors; where one is missing, its tests are skipped.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/checkpointed_run.h"
#include "tests/testing/command.h"
#include "tests/testing/distributed_run.h"
#include "tests/testing/mount.h"
#include "tests/testing/server_process.h"
#include "tests/testing/temporary_folder.h"
#include "tests/testing/traced_command.h"

namespace dcn {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using ::testing::AllOf;
using testing::CommandResult;
using testing::FileCall;
using ::testing::HasSubstr;
using testing::ReadText;
using testing::RunCommand;
using testing::RunningCommand;
using testing::ServerProcess;
using Clock = std::chrono::steady_clock;

// A run that lasts for a few seconds, in which the disk's state changes.
constexpr std::uint64_t kLongSteps = 400;
constexpr std::size_t kDiskBytes = std::size_t{16} << 20;

class FullDisk : public ::testing::Test {
 protected:
  void SetUp() override { fs::create_directory(checkpoints_); }

  [[nodiscard]] std::vector<std::string> Run(std::uint64_t steps,
                                             std::vector<std::string> more = {"--shards", "2"}) {
    fs::remove_all(output_);  // a folder takes the results of one configuration only
    more.insert(more.end(), {"--resume", "--output", output_});
    return testing::WorkerCommandLine(0, testing::CheckpointedRun(checkpoints_, steps, more));
  }

  // One checkpoint, of step 10 and epoch 1.
  void MakeFirstCheckpoint() {
    const CommandResult result = RunCommand(Run(10));
    ASSERT_EQ(result.exit_code, 0) << result.err;
    ASSERT_EQ(testing::NewestStep(checkpoints_), 10U);
  }

  // The run ended well, at the same answer as if nothing had been.
  void ExpectEndedAsEver(int exit_code, std::uint64_t steps, std::uint64_t failed,
                         const std::string& log) {
    ASSERT_EQ(exit_code, 0) << log;
    const nlohmann::json result = testing::ReadResult(output_);
    EXPECT_EQ(result["parameter_digest"], testing::OracleDigest(steps)) << log;
    EXPECT_EQ(result["checkpoints"]["failed"], failed) << log;
  }

  // A command of 30 steps, and a disk that has no room for what it writes at its end.
  std::vector<std::string> FillOutput(std::optional<testing::SmallDisk>& disk) {
    std::vector<std::string> command = Run(30);
    fs::create_directory(output_);
    disk.emplace(output_, kDiskBytes);
    testing::WriteText(ballast_, std::string(fs::space(output_).available - 100'000, 'x'));
    return command;
  }

  // After failures: the checkpoint before them loads, and the next run writes one.
  void ExpectNextOneIsWritten() {
    EXPECT_EQ(testing::NewestStep(checkpoints_), 10U);
    const CommandResult next = RunCommand(Run(30));
    ExpectEndedAsEver(next.exit_code, 30, 0, next.err);
    EXPECT_EQ(testing::NewestStep(checkpoints_), 30U);
    EXPECT_EQ(testing::UnfinishedIn(checkpoints_), "");
  }

  // The same for the first checkpoint that the run begins.
  [[nodiscard]] bool AwaitCheckpointOfEpoch(const RunningCommand& run, int epoch) const {
    const std::string ending = fmt::format("-epoch-{}", epoch);
    const auto deadline = Clock::now() + 60s;
    while (!run.HasEnded() && Clock::now() < deadline) {
      for (const auto& entry : fs::directory_iterator(checkpoints_)) {
        if (entry.path().filename().string().ends_with(ending)) return true;
      }
      std::this_thread::sleep_for(5ms);
    }
    return false;
  }

  testing::TemporaryFolder temporary_;
  const fs::path folder_ = fs::canonical(temporary_.path());  // as strace names it
  const fs::path checkpoints_ = folder_ / "checkpoints";
  const fs::path output_ = folder_ / "output";
  const fs::path ballast_ = output_ / "ballast";
  const fs::path log_ = folder_ / "log";
};

TEST_F(FullDisk, ResultsAreWrittenWhenThereIsRoom) {
  if (const std::string why = testing::IsolateMounts(); !why.empty()) GTEST_SKIP() << why;
  std::optional<testing::SmallDisk> disk;
  RunningCommand run(FillOutput(disk), log_);
  ASSERT_TRUE(run.AwaitInLog("trying again in 2 s")) << ReadText(log_);
  fs::remove(ballast_);
  const CommandResult ended = run.Wait();
  const std::string log = ReadText(log_);
  ExpectEndedAsEver(ended.exit_code, 30, 0, log);
  EXPECT_THAT(log, HasSubstr("the results are not written: cannot write " + output_.string()));
  EXPECT_TRUE(fs::exists(output_ / "model.safetensors"));
}

TEST_F(FullDisk, ResultsThatAreNotWrittenInTheEndAreAnError) {
  if (const std::string why = testing::IsolateMounts(); !why.empty()) GTEST_SKIP() << why;
  std::optional<testing::SmallDisk> disk;
  const CommandResult ended = RunCommand(FillOutput(disk));
  EXPECT_EQ(ended.exit_code, 1);
  EXPECT_THAT(ended.err, AllOf(HasSubstr("trying again in 15 s"),
                               HasSubstr("dcn_worker: cannot write " + output_.string())));
  fs::remove(ballast_);
  EXPECT_TRUE(fs::is_empty(output_));
  disk.reset();
  // The checkpoint of the last step, on another disk, has it all.
  const CommandResult again = RunCommand(Run(30));
  EXPECT_THAT(again.err, HasSubstr("resumed from step 30"));
  ExpectEndedAsEver(again.exit_code, 30, 0, again.err);
}

TEST_F(FullDisk, CheckpointsFailWhileItIsFullAndAreWrittenWhenThereIsRoom) {
  if (const std::string why = testing::IsolateMounts(); !why.empty()) GTEST_SKIP() << why;
  const testing::SmallDisk disk(checkpoints_, kDiskBytes);
  MakeFirstCheckpoint();
  // Leaves less than a checkpoint takes.
  const fs::path ballast = checkpoints_ / "ballast";
  testing::WriteText(ballast, std::string(fs::space(checkpoints_).available - 1'000'000, 'x'));
  RunningCommand run(Run(kLongSteps), log_);
  const bool is_noticed = run.AwaitInLog("No space left on device; training goes on");
  EXPECT_EQ(testing::NewestStep(checkpoints_), 10U);
  const bool had_ended = run.HasEnded();
  fs::remove(ballast);
  const CommandResult ended = run.Wait();
  const std::string log = ReadText(log_);
  ASSERT_TRUE(is_noticed && !had_ended) << log;
  EXPECT_THAT(log, AllOf(HasSubstr("cannot write " + checkpoints_.string() + "/step-"),
                         HasSubstr(".safetensors: No space left on device; training goes on, "
                                   "earlier checkpoints stay")));
  const nlohmann::json counts = testing::ReadResult(output_)["checkpoints"];
  EXPECT_GE(counts["failed"], 1U);
  EXPECT_GE(counts["written"], 1U);
  ExpectEndedAsEver(ended.exit_code, kLongSteps, counts["failed"], log);
  EXPECT_EQ(testing::NewestStep(checkpoints_), kLongSteps);
}

TEST_F(FullDisk, CheckpointsFailWhileTheFolderIsReadOnly) {
  if (const std::string why = testing::IsolateMounts(); !why.empty()) GTEST_SKIP() << why;
  MakeFirstCheckpoint();
  RunningCommand run(Run(kLongSteps), log_);
  ASSERT_TRUE(AwaitCheckpointOfEpoch(run, 2));
  bool is_noticed = false;
  {
    const testing::ReadOnlyView view(checkpoints_);
    is_noticed = run.AwaitInLog("Read-only file system; training goes on");
    EXPECT_GE(testing::NewestStep(checkpoints_), 10U);
  }
  const bool had_ended = run.HasEnded();
  const CommandResult ended = run.Wait();
  const std::string log = ReadText(log_);
  ASSERT_TRUE(is_noticed && !had_ended) << log;
  EXPECT_THAT(log, AllOf(HasSubstr(checkpoints_.string() + "/step-"),
                         HasSubstr("Read-only file system; training goes on")));
  const nlohmann::json counts = testing::ReadResult(output_)["checkpoints"];
  EXPECT_GE(counts["failed"], 1U);
  EXPECT_GE(counts["written"], 1U);
  ExpectEndedAsEver(ended.exit_code, kLongSteps, counts["failed"], log);
  EXPECT_EQ(testing::NewestStep(checkpoints_), kLongSteps);
}

TEST_F(FullDisk, AFolderThatIsReadOnlyFromTheBeginningIsRefused) {
  if (const std::string why = testing::IsolateMounts(); !why.empty()) GTEST_SKIP() << why;
  MakeFirstCheckpoint();
  {
    const testing::ReadOnlyView view(checkpoints_);
    const CommandResult result = RunCommand(Run(20));
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.err,
                AllOf(HasSubstr(checkpoints_.string()), HasSubstr("Read-only file system")));
  }
  ExpectNextOneIsWritten();
}

TEST_F(FullDisk, ARestartWhileItIsFullEndsWithACauseThatCanPass) {
  if (const std::string why = testing::IsolateMounts(); !why.empty()) GTEST_SKIP() << why;
  const testing::SmallDisk disk(checkpoints_, kDiskBytes);
  MakeFirstCheckpoint();
  const fs::path ballast = checkpoints_ / "ballast";
  testing::WriteText(ballast, std::string(fs::space(checkpoints_).available, 'x'));
  const CommandResult result = RunCommand(Run(20));
  EXPECT_EQ(result.exit_code, 4) << result.err;
  EXPECT_THAT(result.err, AllOf(HasSubstr(checkpoints_.string()),
                                HasSubstr("No space left on device (the run can go on once")));
  EXPECT_EQ(testing::NewestStep(checkpoints_), 10U);
  fs::remove(ballast);
  ExpectNextOneIsWritten();
}

TEST_F(FullDisk, AFileSizeLimitFailsTheCheckpointNotTheRun) {
  MakeFirstCheckpoint();
  // 1,000,000 bytes, in units of 512: enough for the model, too little for its optimizer's state.
  std::vector<std::string> limited = {"sh", "-c", "ulimit -f 1953; exec \"$@\"", "sh"};
  for (const std::string& argument : Run(20)) limited.push_back(argument);
  const CommandResult result = RunCommand(limited);
  EXPECT_EQ(result.signal, 0);
  EXPECT_THAT(result.err, HasSubstr("checkpoint of step 20: cannot write " +
                                    testing::CheckpointPath(checkpoints_, 20, 2).string() +
                                    "/dense.safetensors: File too large; training goes on"));
  ExpectEndedAsEver(result.exit_code, 20, 1, result.err);
  ExpectNextOneIsWritten();
}

// An error that a system call gives, and what is said of it.
struct DiskError {
  std::string call;
  std::string file;  // in the checkpoint's folder; "": that folder
  std::string error;
  std::string text;  // the system's
};

constexpr const char* kNoSync = "Input/output error";
constexpr const char* kNoSpace = "No space left on device";
constexpr const char* kOtherDisk = "Invalid cross-device link";

class CheckpointDiskError : public FullDisk {
 protected:
  void SetUp() override {
    DCN_SKIP_WITHOUT_TRACING();
    FullDisk::SetUp();
    MakeFirstCheckpoint();
  }

  // The call as it is made for the checkpoint of step 20, epoch 2: on a temporary, except where the
  // folder itself is meant.
  [[nodiscard]] FileCall CallOf(const DiskError& error) const {
    const fs::path folder = testing::CheckpointPath(checkpoints_, 20, 2);
    if (error.file.empty()) return {.name = error.call, .path = folder};
    return {.name = error.call,
            .path = folder / fmt::format(".{}.{}.0.tmp", error.file, testing::kOwnProcess)};
  }

  void ExpectNamed(const DiskError& error, const std::string& log) const {
    const fs::path folder = testing::CheckpointPath(checkpoints_, 20, 2);
    const fs::path file = error.file.empty() ? folder : folder / error.file;
    EXPECT_THAT(log, AllOf(HasSubstr("checkpoint of step 20: "), HasSubstr(file.string()),
                           HasSubstr(error.text + "; training goes on")));
  }
};

TEST_F(CheckpointDiskError, WhileARunIsStartedAgainIsACauseThatCanPass) {
  struct StartError {
    std::string call;
    std::string path;  // in the job's folder
    std::string error;
    std::string named;
    std::string text;
  };
  const auto temporary = [](const char* file) {
    return fmt::format(".{}.{}.0.tmp", file, testing::kOwnProcess);
  };
  const std::vector<StartError> errors = {
      {"openat", "lock", "ENOSPC", "lock", kNoSpace},
      {"write", temporary("nonce"), "ENOSPC", "nonce", kNoSpace},
      {"fsync", temporary("nonce"), "EIO", "nonce", kNoSync},
      {"openat", temporary("epoch"), "EDQUOT", "epoch", "Disk quota exceeded"},
      {"write", temporary("epoch"), "EDQUOT", "epoch", "Disk quota exceeded"},
      {"fsync", temporary("epoch"), "EIO", "epoch", kNoSync},
      {"read", "epoch", "EIO", "epoch", kNoSync},
      {"openat", "epoch", "EMFILE", "epoch", "Too many open files"},
  };
  for (const StartError& error : errors) {
    SCOPED_TRACE(fmt::format("{} of {} of {}", error.error, error.call, error.path));
    const CommandResult result = RunCommand(testing::CommandFailingAt(
        {.name = error.call, .path = checkpoints_ / error.path}, error.error, Run(20)));
    EXPECT_EQ(result.exit_code, 4) << result.err;
    EXPECT_THAT(result.err, AllOf(HasSubstr((checkpoints_ / error.named).string()),
                                  HasSubstr(error.text + " (the run can go on once")));
    EXPECT_EQ(testing::NewestStep(checkpoints_), 10U);
  }
  ExpectNextOneIsWritten();
}

TEST_F(CheckpointDiskError, IsNamedAndFailsThatCheckpointOnly) {
  const std::vector<DiskError> errors = {
      {"fsync", "shard-0-of-2.safetensors", "EIO", kNoSync},
      {"fsync", "dense.safetensors", "EIO", kNoSync},
      {"fsync", "manifest.json", "EIO", kNoSync},
      {"fsync", "", "EIO", kNoSync},
      {"pwrite64", "shard-1-of-2.safetensors", "ENOSPC", kNoSpace},
      {"pwrite64", "dense.safetensors", "ENOSPC", kNoSpace},
      {"write", "manifest.json", "ENOSPC", kNoSpace},
      {"rename", "shard-1-of-2.safetensors", "EXDEV", kOtherDisk},
      {"rename", "dense.safetensors", "EXDEV", kOtherDisk},
      {"rename", "manifest.json", "EXDEV", kOtherDisk},
      {"openat", "dense.safetensors", "EMFILE", "Too many open files"},
      {"mkdir", "", "ENOSPC", kNoSpace},
  };
  const fs::path first = folder_ / "first";
  fs::copy(checkpoints_, first, fs::copy_options::recursive);
  for (const DiskError& error : errors) {
    SCOPED_TRACE(fmt::format("{} of {} in '{}'", error.error, error.call, error.file));
    testing::ReplaceFolder(first, checkpoints_);
    const CommandResult result =
        RunCommand(testing::CommandFailingAt(CallOf(error), error.error, Run(20)));
    ExpectNamed(error, result.err);
    ExpectEndedAsEver(result.exit_code, 20, 1, result.err);
    EXPECT_EQ(testing::ReadResult(output_)["checkpoints"]["written"], 0U);
    ExpectNextOneIsWritten();
  }
}

TEST_F(CheckpointDiskError, OfAServerIsNamedByTheWorkerAndFailsThatCheckpointOnly) {
  const std::vector<DiskError> errors = {
      {"fsync", "shard-1-of-2.safetensors", "EIO", kNoSync},
      {"write", "shard-1-of-2.safetensors", "ENOSPC", kNoSpace},
      {"rename", "shard-1-of-2.safetensors", "EXDEV", kOtherDisk},
  };
  const fs::path first = folder_ / "first";
  fs::copy(checkpoints_, first, fs::copy_options::recursive);
  for (const DiskError& error : errors) {
    SCOPED_TRACE(fmt::format("{} of {} in '{}'", error.error, error.call, error.file));
    testing::ReplaceFolder(first, checkpoints_);
    const std::vector<std::string> root = {"--checkpoint-root", folder_};
    const ServerProcess whole(folder_, "whole", root);
    const ServerProcess failing(
        folder_, "failing", root, "127.0.0.1:0", [&](const std::vector<std::string>& command) {
          return testing::CommandFailingAt(CallOf(error), error.error, command);
        });
    // The same servers write the checkpoint after it.
    const CommandResult result =
        RunCommand(Run(30, {"--servers", whole.address() + "," + failing.address()}));
    ExpectNamed(error, result.err);
    ExpectEndedAsEver(result.exit_code, 30, 1, result.err);
    EXPECT_EQ(testing::ReadResult(output_)["checkpoints"]["written"], 1U);
    EXPECT_EQ(testing::NewestStep(checkpoints_), 30U);
  }
}

}  // namespace
}  // namespace dcn
