// Checkpoints that are damaged, another run's, or in use: a run goes on from the newest whole one
// and says which were not, and why; or it ends with an error that names the file or the field, and
// everything stays where it is.
//
// Damage at every place of a file is for the tests in tests/worker/checkpoint; here are the
// programs, with one of each kind.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/checkpointed_run.h"
#include "tests/testing/command.h"
#include "tests/testing/distributed_run.h"
#include "tests/testing/temporary_folder.h"
#include "tests/testing/traced_command.h"

namespace dcn {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using ::testing::AllOf;
using testing::CommandResult;
using ::testing::HasSubstr;
using testing::ReadText;
using testing::RunCommand;
using testing::RunningCommand;
using testing::WorkerCommandLine;
using testing::WriteText;

constexpr std::uint64_t kOldStep = 20;
constexpr std::uint64_t kNewStep = 30;
constexpr std::uint64_t kSteps = 40;

constexpr const char* kManifest = "manifest.json";
constexpr const char* kDense = "dense.safetensors";
constexpr const char* kShard0 = "shard-0-of-2.safetensors";
constexpr const char* kShard1 = "shard-1-of-2.safetensors";

// What is done to a checkpoint, and the file that is named for it.
struct Damage {
  std::string what;
  std::string file;
  std::function<void(const fs::path& checkpoint)> apply;
};

Damage Flip(const std::string& file, double place) {
  return {fmt::format("a bit of {} flipped, at {:.1f} of it", file, place), file,
          [file, place](const fs::path& checkpoint) {
            std::string bytes = ReadText(checkpoint / file);
            bytes[static_cast<std::size_t>(place * static_cast<double>(bytes.size() - 1))] ^= 4;
            WriteText(checkpoint / file, bytes);
          }};
}

Damage Truncate(const std::string& file, double part) {
  return {fmt::format("{} cut to {:.1f} of it", file, part), file,
          [file, part](const fs::path& checkpoint) {
            const std::string bytes = ReadText(checkpoint / file);
            WriteText(checkpoint / file,
                      bytes.substr(
                          0, static_cast<std::size_t>(part * static_cast<double>(bytes.size()))));
          }};
}

Damage Remove(const std::string& file) {
  return {file + " missing", file,
          [file](const fs::path& checkpoint) { fs::remove(checkpoint / file); }};
}

// Puts `bytes` in the place of the file's first ones.
Damage Overwrite(const std::string& what, const std::string& file, const std::string& bytes) {
  return {what, file, [file, bytes](const fs::path& checkpoint) {
            std::string all = ReadText(checkpoint / file);
            all.replace(0, std::min(bytes.size(), all.size()), bytes);
            WriteText(checkpoint / file, all);
          }};
}

Damage SwapShards() {
  return {"the shards' files swapped", kShard0, [](const fs::path& checkpoint) {
            fs::rename(checkpoint / kShard0, checkpoint / "other");
            fs::rename(checkpoint / kShard1, checkpoint / kShard0);
            fs::rename(checkpoint / "other", checkpoint / kShard1);
          }};
}

// Whole in itself.
Damage TakeFromOlder(const std::string& file, const std::string& named) {
  return {file + " of another moment", named, [file](const fs::path& checkpoint) {
            const fs::path older = testing::CheckpointPath(checkpoint.parent_path(), kOldStep, 1);
            fs::copy_file(older / file, checkpoint / file, fs::copy_options::overwrite_existing);
          }};
}

// Sizes that nobody could hold, where a file says how long its parts are.
// The file's place, taken by what can be opened and has no end.
Damage Replace(const std::string& what, const std::string& file,
               const std::function<void(const fs::path& path)>& make) {
  return {what, file, [file, make](const fs::path& checkpoint) {
            fs::remove(checkpoint / file);
            make(checkpoint / file);
          }};
}

std::string Repeated(std::string_view text, std::size_t times) {
  std::string all;
  all.reserve(text.size() * times);
  for (std::size_t i = 0; i < times; ++i) all += text;
  return all;
}

std::vector<Damage> HugeSizes() {
  const std::string header =
      R"({"x":{"dtype":"F32","shape":[281474976710656,8],"data_offsets":[0,9007199254740992]}})";
  const std::string padded = header + std::string(96 - header.size(), ' ');
  return {
      Overwrite("a header of 2^63 bytes", kShard0, std::string("\0\0\0\0\0\0\0\x80", 8)),
      Overwrite("a header of 99,999,992 bytes", kShard1,
                std::string("\xF8\xE0\xF5\x05\0\0\0\0", 8)),
      Overwrite("an array of 2^53 bytes", kDense, std::string("\x60\0\0\0\0\0\0\0", 8) + padded),
      Overwrite("a deep list", kManifest, std::string(5000, '[')),
      Replace("a long list", kManifest,
              [](const fs::path& path) { WriteText(path, "[" + Repeated("0,", 50'000'000)); }),
      Replace("20 GB of nothing", kShard0,
              [](const fs::path& path) {
                WriteText(path, "");
                fs::resize_file(path, 20'000'000'000);
              }),
      Replace("an endless file", kDense,
              [](const fs::path& path) { fs::create_symlink("/dev/zero", path); }),
      Replace("a pipe", kShard1,
              [](const fs::path& path) { ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0); }),
  };
}

std::vector<Damage> AllKinds() {
  std::vector<Damage> kinds = {Flip(kManifest, 0.5),
                               Flip(kDense, 0),
                               Flip(kDense, 0.5),
                               Flip(kShard0, 0.01),
                               Flip(kShard1, 1),
                               Truncate(kManifest, 0),
                               Truncate(kManifest, 0.5),
                               Truncate(kDense, 0),
                               Truncate(kShard1, 0.5),
                               Remove(kDense),
                               Remove(kShard1),
                               SwapShards(),
                               TakeFromOlder(kShard0, kShard0),
                               TakeFromOlder(kManifest, kDense)};
  for (Damage& damage : HugeSizes()) kinds.push_back(std::move(damage));
  return kinds;
}

// Every file below `folder` that belongs to a checkpoint, by its path there.
std::map<std::string, std::string> CheckpointFiles(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file() || entry.path().parent_path() == folder) continue;
    files[fs::relative(entry.path(), folder)] = ReadText(entry.path());
  }
  return files;
}

class DamagedCheckpoint : public ::testing::Test {
 protected:
  // A busy machine's run leaves a checkpoint out while the one before is still being written: then
  // once more.
  void SetUp() override {
    constexpr int kMostRuns = 20;
    for (int run = 0; run < kMostRuns; ++run) {
      fs::remove_all(base_);
      const CommandResult result = RunCommand(
          WorkerCommandLine(0, testing::CheckpointedRun(base_, kNewStep, {"--shards", "2"})));
      ASSERT_EQ(result.exit_code, 0) << result.err;
      if (!fs::exists(testing::CheckpointPath(base_, kOldStep, 1))) continue;
      testing::ReplaceFolder(base_, checkpoints_);
      return;
    }
    FAIL() << "no run of " << kMostRuns << " kept the checkpoint of step " << kOldStep;
  }

  [[nodiscard]] std::vector<std::string> Arguments() const {
    return testing::CheckpointedRun(checkpoints_, kSteps, {"--shards", "2", "--resume"});
  }
  [[nodiscard]] CommandResult Resume() const {
    return RunCommand(WorkerCommandLine(0, Arguments()));
  }
  [[nodiscard]] fs::path Checkpoint(std::uint64_t step) const {
    return testing::CheckpointPath(checkpoints_, step, 1);
  }
  void Apply(const Damage& damage, std::uint64_t step) const { damage.apply(Checkpoint(step)); }

  // The run went on from the older checkpoint, said why, and came to the same answer.
  void ExpectOlderOne(const CommandResult& result, const std::string& file,
                      const std::string& oracle) const {
    ExpectWentOnFromOlder(result, (Checkpoint(kNewStep) / file).string() + ": ", oracle);
    EXPECT_TRUE(
        fs::exists(checkpoints_ / ("unusable-" + Checkpoint(kNewStep).filename().string())));
    EXPECT_FALSE(fs::exists(Checkpoint(kNewStep)));
  }

  // The same; what became of the newer one is not looked at.
  void ExpectWentOnFromOlder(const CommandResult& result, const std::string& why,
                             const std::string& oracle) const {
    const std::string newest = Checkpoint(kNewStep).filename();
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(testing::DigestIn(result.out), oracle) << result.err;
    EXPECT_THAT(
        result.err,
        AllOf(HasSubstr("checkpoint " + newest + " cannot be used: "), HasSubstr(why),
              HasSubstr("resumed from step 20 of checkpoint " + Checkpoint(kOldStep).string())));
    EXPECT_EQ(testing::NewestStep(checkpoints_), kSteps);
  }

  // Ends with the exit code, and leaves the checkpoints as they are.
  void ExpectRefused(const std::vector<std::string>& arguments, int exit_code,
                     const std::string& text) const {
    const auto before = CheckpointFiles(checkpoints_);
    const CommandResult result = RunCommand(WorkerCommandLine(0, arguments));
    EXPECT_EQ(result.exit_code, exit_code) << result.err;
    EXPECT_THAT(result.err, HasSubstr(text));
    EXPECT_TRUE(CheckpointFiles(checkpoints_) == before) << "checkpoints were changed";
  }

  testing::TemporaryFolder temporary_;
  const fs::path folder_ = fs::canonical(temporary_.path());
  const fs::path base_ = folder_ / "base";
  const fs::path checkpoints_ = folder_ / "checkpoints";
};

TEST_F(DamagedCheckpoint, IsNamedAndTheOlderOneIsUsed) {
  const std::string oracle = testing::OracleDigest(kSteps);
  for (const Damage& damage : AllKinds()) {
    SCOPED_TRACE(damage.what);
    testing::ReplaceFolder(base_, checkpoints_);
    Apply(damage, kNewStep);
    const CommandResult inspected = testing::InspectCheckpoint(checkpoints_);
    EXPECT_EQ(inspected.exit_code, 5);
    EXPECT_THAT(inspected.err, HasSubstr((Checkpoint(kNewStep) / damage.file).string()));
    ExpectOlderOne(Resume(), damage.file, oracle);
  }
}

TEST_F(DamagedCheckpoint, IsLeftByAllRanksWhereOneOfThemFindsTheDamage) {
  Apply(Flip(kShard1, 0.5), kNewStep);  // rank 1's to verify
  const CommandResult result = RunCommand(
      WorkerCommandLine(2, testing::CheckpointedRun(checkpoints_, kSteps, {"--resume"})));
  ExpectOlderOne(result, kShard1, testing::OracleDigest(kSteps));
}

TEST_F(DamagedCheckpoint, ThatTheDiskDoesNotGiveIsLeftForTheOlderOne) {
  DCN_SKIP_WITHOUT_TRACING();
  const std::string oracle = testing::OracleDigest(kSteps);
  for (const auto& [call, file] :
       {std::pair{"pread64", kDense}, {"pread64", kShard1}, {"read", kManifest}}) {
    SCOPED_TRACE(file);
    testing::ReplaceFolder(base_, checkpoints_);
    const std::string path = Checkpoint(kNewStep) / file;
    const CommandResult result = RunCommand(
        testing::CommandFailingAt({call, path, 1}, "EIO", WorkerCommandLine(0, Arguments())));
    EXPECT_THAT(result.err, HasSubstr("cannot read " + path + ": Input/output error"));
    ExpectOlderOne(result, file, oracle);
  }
}

TEST_F(DamagedCheckpoint, IsNotWhatCannotBeReadNowWhichIsLeftInItsPlace) {
  DCN_SKIP_WITHOUT_TRACING();
  const std::string oracle = testing::OracleDigest(kSteps);
  const std::map<std::string, std::string> texts = {{"EMFILE", "Too many open files"},
                                                    {"ENOMEM", "Cannot allocate memory"},
                                                    {"EACCES", "Permission denied"},
                                                    {"EIO", "Input/output error"}};
  for (const char* file : {kManifest, kShard1}) {
    for (const auto& [error, text] : texts) {
      SCOPED_TRACE(fmt::format("{} of {}", error, file));
      testing::ReplaceFolder(base_, checkpoints_);
      const std::string path = Checkpoint(kNewStep) / file;
      std::vector<std::string> run = Arguments();
      run.insert(run.end(), {"--checkpoint-keep", "1"});
      const CommandResult result = RunCommand(
          testing::CommandFailingAt({"openat", path, 1}, error, WorkerCommandLine(0, run)));
      ExpectWentOnFromOlder(result, fmt::format("cannot open {}: {}", path, text), oracle);
      // Neither removed nor taken for one of those that are kept.
      EXPECT_TRUE(fs::exists(Checkpoint(kNewStep) / kManifest));
      EXPECT_FALSE(
          fs::exists(checkpoints_ / ("unusable-" + Checkpoint(kNewStep).filename().string())));
    }
  }
}

TEST_F(DamagedCheckpoint, IsNotWhatCannotBeReadNowAlsoWhereThereIsNoOther) {
  DCN_SKIP_WITHOUT_TRACING();
  fs::remove_all(Checkpoint(kOldStep));
  const auto before = CheckpointFiles(checkpoints_);
  const std::string path = Checkpoint(kNewStep) / kManifest;
  const std::map<std::string, int> exit_codes = {{"EMFILE", 4}, {"EACCES", 5}};
  for (const auto& [error, exit_code] : exit_codes) {
    SCOPED_TRACE(error);
    const CommandResult result = RunCommand(
        testing::CommandFailingAt({"openat", path, 1}, error, WorkerCommandLine(0, Arguments())));
    EXPECT_EQ(result.exit_code, exit_code) << result.err;
    EXPECT_THAT(result.err, HasSubstr("cannot open " + path));
    EXPECT_TRUE(CheckpointFiles(checkpoints_) == before) << "checkpoints were changed";
  }
  EXPECT_EQ(testing::DigestIn(Resume().out), testing::OracleDigest(kSteps));
}

TEST_F(DamagedCheckpoint, EndsTheRunEveryTimeWhereAllAreDamaged) {
  Apply(Flip(kShard0, 0.5), kNewStep);
  Apply(Remove(kDense), kOldStep);
  for (int time = 0; time < 2; ++time) {
    SCOPED_TRACE(time);
    ExpectRefused(Arguments(), 5, (Checkpoint(kNewStep) / kShard0).string());
    ExpectRefused(Arguments(), 5, (Checkpoint(kOldStep) / kDense).string());
  }
}

TEST_F(DamagedCheckpoint, TakesNoMoreMemoryThanAWholeOne) {
#ifdef DCN_SANITIZED
  GTEST_SKIP() << "a sanitizer's own memory is beyond any limit";
#endif
  const auto limited = [](const std::vector<std::string>& arguments) {
    std::vector<std::string> command = {"sh", "-c", "ulimit -v 1000000; exec \"$@\"", "sh"};  // KiB
    for (const std::string& part : WorkerCommandLine(0, arguments)) command.push_back(part);
    return RunCommand(command);
  };
  const std::string oracle = testing::OracleDigest(kSteps);
  for (const Damage& damage : HugeSizes()) {
    SCOPED_TRACE(damage.what);
    testing::ReplaceFolder(base_, checkpoints_);
    Apply(damage, kNewStep);
    const CommandResult inspected = limited({"--inspect-checkpoint", checkpoints_});
    EXPECT_EQ(inspected.exit_code, 5) << inspected.err;
    ExpectOlderOne(limited(Arguments()), damage.file, oracle);
  }
}

TEST_F(DamagedCheckpoint, OfAnotherConfigurationIsRefusedByTheField) {
  const std::map<std::string, std::vector<std::string>> others = {
      {"seed", {"--seed", "2"}},
      {"optimizer", {"--optimizer", "adagrad"}},
      {"learning_rate", {"--learning-rate", "0.02"}},
      {"train_fraction", {"--train-fraction", "0.5"}},
      {"model", {"--model", "dnn"}},
  };
  for (const auto& [field, options] : others) {
    SCOPED_TRACE(field);
    std::vector<std::string> arguments = Arguments();
    arguments.insert(arguments.end(), options.begin(), options.end());
    ExpectRefused(arguments, 5, field);
  }
  std::vector<std::string> arguments = Arguments();
  std::ranges::replace(arguments, "synthetic-small", "synthetic");
  ExpectRefused(arguments, 5, "fingerprint");
}

TEST_F(DamagedCheckpoint, OrWholeOneIsNotTouchedWithoutResume) {
  ExpectRefused(testing::CheckpointedRun(checkpoints_, kSteps, {"--shards", "2"}), 2, "--resume");
}

TEST_F(DamagedCheckpoint, FolderInUseIsRefusedWithTheNumberOfItsProcess) {
  const fs::path output = folder_ / "output";
  const fs::path log = folder_ / "log";
  constexpr std::uint64_t kLongSteps = 200;
  RunningCommand first(WorkerCommandLine(0, testing::CheckpointedRun(
                                                checkpoints_, kLongSteps,
                                                {"--shards", "2", "--resume", "--output", output})),
                       log);
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  while (ReadText(log).find("resumed from") == std::string::npos) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << ReadText(log);
    std::this_thread::sleep_for(5ms);
  }
  first.Signal(SIGSTOP);  // however fast this machine is
  const CommandResult second = Resume();
  first.Signal(SIGCONT);
  EXPECT_EQ(second.exit_code, 4);
  EXPECT_THAT(second.err, HasSubstr(fmt::format("{} is in use by another run (process {})",
                                                checkpoints_.string(), first.pid())));
  EXPECT_EQ(first.Wait().exit_code, 0) << ReadText(log);
  EXPECT_EQ(testing::ReadResult(output)["parameter_digest"], testing::OracleDigest(kLongSteps));
}

TEST_F(DamagedCheckpoint, FileOfTheEpochIsNamedAndNothingIsOverwritten) {
  for (const std::string& text : {std::string(), std::string("1x"), std::string(40, '\xFF'),
                                  std::string(30, '9'), std::string("18446744073709551615")}) {
    SCOPED_TRACE(text);
    WriteText(checkpoints_ / "epoch", text);
    ExpectRefused(Arguments(), 5, (checkpoints_ / "epoch").string() + ": no ");
  }
  // What the message advises.
  WriteText(checkpoints_ / "epoch", "1");
  const CommandResult result = Resume();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(testing::DigestIn(result.out), testing::OracleDigest(kSteps));
}

}  // namespace
}  // namespace dcn
