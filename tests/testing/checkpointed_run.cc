#include "tests/testing/checkpointed_run.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/testing/distributed_run.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::testing {

namespace fs = std::filesystem;

std::vector<std::string> SmallRun(std::uint64_t steps) {
  // 15 steps are one epoch.
  return {"--data",       "synthetic-small",
          "--batch-size", "1024",
          "--slice-rows", "128",
          "--threads",    "1",
          "--epochs",     "1000",
          "--max-steps",  std::to_string(steps)};
}

std::vector<std::string> CheckpointedRun(const fs::path& folder, std::uint64_t steps,
                                         const std::vector<std::string>& more) {
  std::vector<std::string> arguments = SmallRun(steps);
  arguments.insert(arguments.end(), {"--checkpoint-dir", folder, "--checkpoint-every", "10"});
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

fs::path CheckpointPath(const fs::path& folder, std::uint64_t step, std::uint64_t epoch) {
  return folder / fmt::format("step-{:012}-epoch-{}", step, epoch);
}

std::string OracleDigest(std::uint64_t steps) {
  const CommandResult result = RunCommand(WorkerCommandLine(0, SmallRun(steps)));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return DigestIn(result.out);
}

CommandResult InspectCheckpoint(const fs::path& folder) {
  return RunCommand(WorkerCommandLine(0, {"--inspect-checkpoint", folder}));
}

std::uint64_t NewestStep(const fs::path& folder) {
  constexpr std::string_view kStep = "\n  step ";
  const CommandResult result = InspectCheckpoint(folder);
  const std::size_t place = result.out.find(kStep);
  if (result.exit_code == 0 && place != std::string::npos) {
    return std::stoull(result.out.substr(place + kStep.size()));
  }
  EXPECT_EQ(result.exit_code, 5) << result.err;
  EXPECT_NE(result.err.find("no checkpoint there"), std::string::npos) << result.err;
  return 0;
}

std::string UnfinishedIn(const fs::path& folder) {
  std::string found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".tmp") found += entry.path().string() + " ";
    if (!entry.is_directory()) continue;
    if (!fs::exists(entry.path() / "manifest.json")) found += entry.path().string() + " ";
    for (const auto& file : fs::directory_iterator(entry.path())) {
      if (file.path().extension() == ".tmp") found += file.path().string() + " ";
    }
  }
  return found;
}

nlohmann::json ReadResult(const fs::path& output) {
  nlohmann::json result = nlohmann::json::parse(ReadText(output / "result.json"), nullptr, false);
  EXPECT_TRUE(result.is_object()) << output;
  return result;
}

void ReplaceFolder(const fs::path& from, const fs::path& to) {
  fs::remove_all(to);
  if (fs::exists(from)) {
    fs::copy(from, to, fs::copy_options::recursive);
  } else {
    fs::create_directory(to);
  }
}

}  // namespace dcn::testing
