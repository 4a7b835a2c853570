// kill -9 at the system calls of a checkpoint write: whatever is on the disk then, every load gives
// the old checkpoint up to the commit and the new one after it, and the run that goes on from it
// comes to the same answer.
//
// An undisturbed run shows which calls there are, on which files, from the taking of the folder to
// the removal of what is too old. A sample of them with each kind of call on each kind of file is
// killed at; all of them with DCN_FAULT_FULL=1 tests/fault/repeat.sh checkpoint_write.
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/fault/kill_plan.h"
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
using testing::KillPlace;
using testing::RunCommand;
using testing::ServerProcess;
using testing::TracedCall;
using testing::WorkerCommandLine;

// The run that is killed ends at this step, the one after it at the next.
constexpr std::uint64_t kKilledSteps = 20;
constexpr std::uint64_t kSteps = 30;

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

  // Where an undisturbed worker that begins with the base can be killed.
  std::vector<KillPlace> PlacesOfTheWorker(std::uint64_t base_step) {
    testing::ReplaceFolder(base_, checkpoints_);
    const fs::path trace = folder_ / "trace";
    const CommandResult result =
        RunCommand(testing::TracedCommand(trace, Run(kKilledSteps, {"--shards", "2"})));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return PlacesIn(trace, base_step);
  }
  std::vector<KillPlace> PlacesIn(const fs::path& trace, std::uint64_t base_step) const {
    const std::vector<TracedCall> calls = testing::ReadFileCalls(trace, checkpoints_);
    std::vector<KillPlace> places = testing::PlanKills(calls, base_step);
    for (const KillPlace& place : places) EXPECT_TRUE(place.loads.has_value()) << place.kind;
    // What several threads do is killed at where it is done first. A folder that one more thread
    // opens or syncs has the same in it at that thread's next call.
    std::set<testing::FileCall> seen;
    for (const TracedCall& call : calls) {
      if (seen.insert(call.call).second) continue;
      EXPECT_TRUE(call.call.name == "openat" || call.call.name == "fsync") << call.call.path;
    }
    fmt::print("{} calls, {} places to be killed at\n", calls.size(), places.size());
    return places;
  }

  // After a kill: what loads, and what the run comes to that goes on from there.
  void ExpectLoads(std::optional<std::uint64_t> step, const std::vector<std::string>& more) {
    const std::uint64_t loaded = testing::NewestStep(checkpoints_);
    EXPECT_EQ(loaded, step);
    ++loaded_[loaded];
    const CommandResult result = RunCommand(Run(kSteps, more));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(testing::DigestIn(result.out), oracle_) << result.err;
    const std::string resumed = fmt::format("resumed from step {} of checkpoint", loaded);
    EXPECT_EQ(result.err.find(resumed) != std::string::npos, loaded > 0) << result.err;
    EXPECT_EQ(testing::NewestStep(checkpoints_), kSteps);
    EXPECT_EQ(testing::UnfinishedIn(checkpoints_), "");
  }

  void KillTheWorker(const std::vector<KillPlace>& places) {
    for (const KillPlace& place : places) {
      SCOPED_TRACE(Describe(place));
      testing::ReplaceFolder(base_, checkpoints_);
      const CommandResult killed =
          RunCommand(testing::CommandKilledAt(place.call, Run(kKilledSteps, {"--shards", "2"})));
      EXPECT_EQ(killed.signal, SIGKILL) << killed.err;
      ExpectLoads(place.loads, {"--shards", "2"});
    }
  }
  static std::string Describe(const KillPlace& place) {
    return fmt::format("killed at {} {} of {}", place.call.name, place.call.nth, place.call.path);
  }

  void Report(const std::string& what, std::size_t kills, std::size_t places) const {
    fmt::print("{}: killed at {} of {} places\n", what, kills, places);
    for (const auto& [step, times] : loaded_) {
      fmt::print("  {}: loaded {} times\n",
                 step == 0 ? "no checkpoint" : fmt::format("the checkpoint of step {}", step),
                 times);
    }
  }

  testing::TemporaryFolder temporary_;
  const fs::path folder_ = fs::canonical(temporary_.path());  // as strace names it
  const fs::path base_ = folder_ / "base";
  const fs::path checkpoints_ = folder_ / "checkpoints";
  std::string oracle_;
  std::map<std::uint64_t, int> loaded_;  // how often, by step
};

TEST_F(CheckpointWrite, AWorkerKilledLeavesTheOldCheckpointUpToTheCommitAndThenTheNewOne) {
  MakeBase();
  const std::vector<KillPlace> places = PlacesOfTheWorker(10);
  ASSERT_GE(places.size(), 100U);
  const std::vector<KillPlace> sample = testing::SampleOfKinds(places);
  KillTheWorker(sample);
  Report("worker", sample.size(), places.size());
  EXPECT_GT(loaded_[10], 0);
  EXPECT_GT(loaded_[20], 0);
}

// The run makes two checkpoints, of which it keeps one.
TEST_F(CheckpointWrite, AWorkerKilledBeforeItsFirstCommitLeavesNoneAndThenAWholeOne) {
  const std::vector<KillPlace> places = PlacesOfTheWorker(0);
  ASSERT_GE(places.size(), 100U);
  const std::vector<KillPlace> sample = testing::SampleAroundCommits(places, 3);
  KillTheWorker(sample);
  Report("first checkpoint", sample.size(), places.size());
  for (const std::uint64_t step : {0U, 10U, 20U}) EXPECT_GT(loaded_[step], 0) << step;
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

// The commit waits for the server's last call.
TEST_F(ServerCheckpointWrite, AServerKilledAtAnyCallLeavesTheOldCheckpoint) {
  MakeBase();
  testing::ReplaceFolder(base_, checkpoints_);
  const fs::path trace = folder_ / "trace";
  StartServers([&](const std::vector<std::string>& command) {
    return testing::TracedCommand(trace, command);
  });
  const CommandResult undisturbed = RunCommand(Run(kKilledSteps, Servers()));
  ASSERT_EQ(undisturbed.exit_code, 0) << undisturbed.err;
  EXPECT_EQ(second_->Stop(SIGTERM).exit_code, 0);
  const std::vector<KillPlace> places = PlacesIn(trace, 10);
  ASSERT_GE(places.size(), 20U);

  const std::vector<KillPlace> sample = testing::SampleOfKinds(places);
  for (const KillPlace& place : sample) {
    SCOPED_TRACE(Describe(place));
    testing::ReplaceFolder(base_, checkpoints_);
    StartServers([&](const std::vector<std::string>& command) {
      return testing::CommandKilledAt(place.call, command);
    });
    const CommandResult lost = RunCommand(Run(kKilledSteps, Servers()));
    EXPECT_EQ(lost.exit_code, 4) << lost.err;
    EXPECT_NE(lost.err.find(second_->address()), std::string::npos) << lost.err;
    EXPECT_EQ(second_->Stop(0).signal, SIGKILL);
    // The first server still has what it had; the second one begins anew.
    second_ = std::make_unique<ServerProcess>(
        folder_, "second", std::vector<std::string>{"--checkpoint-root", folder_});
    ExpectLoads(place.loads, Servers());
  }
  Report("server", sample.size(), places.size());
}

}  // namespace
}  // namespace dcn
