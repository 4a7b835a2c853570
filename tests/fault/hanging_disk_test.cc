// A disk that hangs in a system call of a checkpoint: training goes on and comes to the same
// answer, each checkpoint that is left out meanwhile is said with the file and how long it has
// hung, none is begun, and the next one is written when the disk answers. Where it never does, runs
// and servers end in their time, with the exit code that they always have.
//
// strace holds the calls up, until it is killed. What it traces has exited before its parent learns
// of it.
#include <algorithm>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/checkpointed_run.h"
#include "tests/testing/command.h"
#include "tests/testing/distributed_run.h"
#include "tests/testing/process_search.h"
#include "tests/testing/server_process.h"
#include "tests/testing/temporary_folder.h"
#include "tests/testing/traced_command.h"

namespace dcn {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using testing::CheckpointPath;
using testing::CommandResult;
using testing::FileCall;
using ::testing::HasSubstr;
using testing::ReadText;
using testing::RunCommand;
using testing::RunningCommand;
using testing::ServerProcess;
using testing::WorkerCommandLine;

// A run that lasts for a few seconds: the disk answers long before its end.
constexpr std::uint64_t kLongSteps = 400;
// One that ends while the disk hangs; its checkpoints would be those of steps 10, 20 and 30.
constexpr std::uint64_t kShortSteps = 30;
// How long its end waits, in seconds.
constexpr const char* kTimeout = "3";

// A call for the checkpoint of step 10, epoch 1; file: in its folder, written beside its name;
// "": that folder itself.
struct Hang {
  std::string call;
  std::string file;
};

class HangingDisk : public ::testing::Test {
 protected:
  void SetUp() override {
    DCN_SKIP_WITHOUT_TRACING();
    fs::create_directory(checkpoints_);
  }

  [[nodiscard]] FileCall CallOf(const Hang& hang) const {
    if (hang.file.empty()) return {.name = hang.call, .path = first_};
    return {.name = hang.call,
            .path = first_ / fmt::format(".{}.{}.0.tmp", hang.file, testing::kOwnProcess)};
  }
  // What warnings say of it. What is asked of the folder is asked for one of its files, mostly.
  [[nodiscard]] std::string TextOf(const Hang& hang) const {
    if (hang.file.empty()) return first_.string();
    return (first_ / hang.file).string() + ": the disk has not answered for ";
  }

  [[nodiscard]] std::vector<std::string> Run(int ranks, std::uint64_t steps,
                                             std::vector<std::string> more) {
    fs::remove_all(output_);  // a folder takes the results of one configuration only
    more.insert(more.end(), {"--resume", "--output", output_});
    return WorkerCommandLine(ranks, testing::CheckpointedRun(checkpoints_, steps, more));
  }
  // One that does not wait for the disk for long.
  [[nodiscard]] std::vector<std::string> ShortRun(std::vector<std::string> more, int ranks = 0) {
    more.insert(more.end(), {"--checkpoint-timeout", kTimeout});
    return Run(ranks, kShortSteps, std::move(more));
  }

  void ExpectNoneBegun() const {
    for (const std::uint64_t step : {20U, 30U}) {
      EXPECT_FALSE(fs::exists(CheckpointPath(checkpoints_, step, 1))) << step;
    }
  }

  // The run ended well, at the same answer as if nothing had been.
  nlohmann::json ExpectEndedAsEver(int exit_code, std::uint64_t steps) {
    EXPECT_EQ(exit_code, 0) << ReadText(log_);
    nlohmann::json result = testing::ReadResult(output_);
    EXPECT_EQ(result["parameter_digest"], testing::OracleDigest(steps));
    return std::move(result["checkpoints"]);
  }

  // Of a long run; `tracer` holds up the hanging process.
  void ExpectTrainingGoesOnAndCheckpointsWhenItAnswers(RunningCommand& run, pid_t tracer,
                                                       const std::string& text) {
    const bool is_left_out =
        run.AwaitInLog("checkpoint of step 30: left out, that of step 10 ") && run.AwaitInLog(text);
    ExpectNoneBegun();
    testing::EndTracing(tracer);
    const CommandResult ended = run.Wait();
    const std::string log = ReadText(log_);
    ASSERT_TRUE(is_left_out) << log;
    EXPECT_THAT(log, AllOf(HasSubstr("checkpoint of step 20: left out"), HasSubstr(text),
                           HasSubstr(": the disk has not answered for ")));
    const nlohmann::json counts = ExpectEndedAsEver(ended.exit_code, kLongSteps);
    EXPECT_GE(counts["skipped"], 2U);
    EXPECT_GE(counts["written"], 1U);
    EXPECT_EQ(testing::NewestStep(checkpoints_), kLongSteps);
    EXPECT_EQ(testing::UnfinishedIn(checkpoints_), "");
  }

  // Of a short run, after its end.
  void ExpectHasFailed(int exit_code, const std::string& text) {
    const std::string log = ReadText(log_);
    EXPECT_THAT(log, HasSubstr("checkpoint of step 10: it is not written within 3 s "
                               "(--checkpoint-timeout) (" +
                               text));
    ExpectNoneBegun();
    const nlohmann::json counts = ExpectEndedAsEver(exit_code, kShortSteps);
    EXPECT_EQ(counts["failed"], 1U) << log;
    EXPECT_EQ(counts["skipped"], 2U) << log;
    EXPECT_EQ(counts["written"], 0U) << log;
  }

  testing::TemporaryFolder temporary_;
  const fs::path folder_ = fs::canonical(temporary_.path());  // as strace names it
  const fs::path checkpoints_ = folder_ / "checkpoints";
  const fs::path first_ = CheckpointPath(checkpoints_, 10, 1);
  const fs::path output_ = folder_ / "output";
  const fs::path log_ = folder_ / "log";
};

class HangingCall : public HangingDisk, public ::testing::WithParamInterface<Hang> {};

TEST_P(HangingCall, OfAWorkerHoldsUpCheckpointsOnly) {
  RunningCommand run(
      testing::CommandHangingAt(CallOf(GetParam()), Run(0, kLongSteps, {"--shards", "2"})), log_);
  ASSERT_TRUE(run.AwaitInLog("checkpoint of step 20: left out")) << ReadText(log_);
  ExpectTrainingGoesOnAndCheckpointsWhenItAnswers(run, testing::TracerOf(run.pid()),
                                                  TextOf(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(, HangingCall,
                         ::testing::Values(Hang{"mkdir", ""},
                                           Hang{"openat", "shard-1-of-2.safetensors"},
                                           Hang{"pwrite64", "dense.safetensors"},
                                           Hang{"write", "manifest.json"},
                                           Hang{"fsync", "shard-0-of-2.safetensors"},
                                           Hang{"fsync", ""}, Hang{"rename", "manifest.json"}));

TEST_F(HangingDisk, DoesNotHoldUpTheEndOfAWorkerForLonger) {
  const Hang hang = {"fsync", "shard-0-of-2.safetensors"};
  RunningCommand run(testing::CommandHangingAt(CallOf(hang), ShortRun({"--shards", "2"})), log_);
  ASSERT_TRUE(run.AwaitInLog("left out")) << ReadText(log_);
  const pid_t tracer = testing::TracerOf(run.pid());
  testing::AwaitExit(run.pid());
  testing::EndTracing(tracer);
  ExpectHasFailed(run.Wait().exit_code, TextOf(hang));
}

TEST_F(HangingDisk, DoesNotHoldUpAStopForLonger) {
  const Hang hang = {"fsync", "dense.safetensors"};
  RunningCommand run(
      testing::CommandHangingAt(
          CallOf(hang), Run(0, 1'000'000, {"--shards", "2", "--checkpoint-timeout", kTimeout})),
      log_);
  ASSERT_TRUE(run.AwaitInLog("left out")) << ReadText(log_);
  const pid_t tracer = testing::TracerOf(run.pid());
  run.Signal(SIGTERM);
  testing::AwaitExit(run.pid());
  testing::EndTracing(tracer);
  EXPECT_EQ(run.Wait().exit_code, 6);
  EXPECT_THAT(ReadText(log_), AllOf(HasSubstr("checkpoint of step 10: it is not written within"),
                                    HasSubstr(TextOf(hang))));
}

TEST_F(HangingDisk, DoesNotHoldUpTheEndOfWorkersUnderMpirun) {
  // Made by the first rank's writing threads and by the second rank's.
  const Hang hang = {"fsync", ""};
  RunningCommand run(testing::CommandHangingAt(CallOf(hang), ShortRun({}, 2)), log_);
  ASSERT_TRUE(run.AwaitInLog("left out")) << ReadText(log_);
  const pid_t tracer = testing::TracerOf(run.pid());
  std::vector<pid_t> workers;
  for (const auto& process : testing::FindProcesses(checkpoints_)) {
    if (process.program == "dcn_worker") workers.push_back(process.pid);
  }
  EXPECT_EQ(workers.size(), 2U);
  for (const pid_t worker : workers) testing::AwaitExit(worker);
  testing::EndTracing(tracer);
  const CommandResult ended = run.Wait();
  ExpectHasFailed(ended.exit_code, TextOf(hang));
}

// A job with two servers, the second one's disk hangs.
class HangingServer : public HangingDisk {
 protected:
  void SetUp() override {
    HangingDisk::SetUp();
    if (IsSkipped()) return;
    const std::vector<std::string> root = {"--checkpoint-root", folder_};
    whole_ = std::make_unique<ServerProcess>(folder_, "whole", root);
    hanging_ = std::make_unique<ServerProcess>(
        folder_, "hanging", root, "127.0.0.1:0", [&](const std::vector<std::string>& command) {
          return testing::CommandHangingAt(CallOf(hang_), command);
        });
    tracer_ = testing::TracerOf(hanging_->pid());
    ASSERT_NE(tracer_, 0);
  }

  [[nodiscard]] std::vector<std::string> Servers() const {
    return {"--servers", whole_->address() + "," + hanging_->address()};
  }

  const Hang hang_ = {"fsync", "shard-1-of-2.safetensors"};
  std::unique_ptr<ServerProcess> whole_;
  std::unique_ptr<ServerProcess> hanging_;
  pid_t tracer_ = 0;
};

TEST_F(HangingServer, HoldsUpCheckpointsOnly) {
  RunningCommand run(Run(0, kLongSteps, Servers()), log_);
  ExpectTrainingGoesOnAndCheckpointsWhenItAnswers(run, tracer_, TextOf(hang_));
}

TEST_F(HangingServer, ServesTheNextRunsAndEndsWhileItsDiskHangs) {
  {
    RunningCommand run(ShortRun(Servers()), log_);
    ExpectHasFailed(run.Wait().exit_code, TextOf(hang_));
  }
  // The server answers.
  const CommandResult status =
      RunCommand({testing::BuiltProgram("dcn_ps"), "--status", hanging_->address()});
  EXPECT_EQ(status.exit_code, 0) << status.err;
  // A run without checkpoints.
  std::vector<std::string> plain = testing::SmallRun(kShortSteps);
  for (const std::string& argument : Servers()) plain.push_back(argument);
  const CommandResult other = RunCommand(WorkerCommandLine(0, plain));
  EXPECT_EQ(other.exit_code, 0) << other.err;
  EXPECT_EQ(testing::DigestIn(other.out), testing::OracleDigest(kShortSteps));
  // The next life of the first run, whose checkpoints wait for that disk: none is begun.
  const CommandResult next = RunCommand(ShortRun(Servers()));
  EXPECT_THAT(next.err, AllOf(HasSubstr("checkpoint of step 30: not begun, an earlier one hangs: " +
                                        TextOf(hang_)),
                              HasSubstr("training goes on")));
  const nlohmann::json counts = ExpectEndedAsEver(next.exit_code, kShortSteps);
  EXPECT_EQ(counts["written"], 0U);
  EXPECT_FALSE(fs::exists(CheckpointPath(checkpoints_, 30, 2) / "shard-1-of-2.safetensors"));

  hanging_->Signal(SIGTERM);
  testing::AwaitExit(hanging_->pid());
  testing::EndTracing(tracer_);
  EXPECT_EQ(hanging_->Stop(0).exit_code, 0) << hanging_->log();
}

}  // namespace
}  // namespace dcn
