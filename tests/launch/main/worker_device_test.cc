// --device, --reduce and --precision of dcn_worker where the machine has no GPU, or no bf16:
// refused, or not taken, and said so.

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/testing/distributed_run.h"
#include "tests/testing/engines.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::launch {
namespace {

using ::testing::AnyOf;
using testing::CommandResult;
using ::testing::HasSubstr;

CommandResult RunWorker(int ranks, const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {
      "--data", "synthetic-small", "--batch-size", "1000", "--slice-rows", "64", "--max-steps",
      "5"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return testing::RunCommand(testing::WorkerCommandLine(ranks, arguments));
}

TEST(WorkerDevice, RefusesOptionsThatExcludeEachOther) {
  CommandResult result = RunWorker(0, {"--device", "cuda", "--engine", "onednn"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("--device cuda: the engine onednn computes on the processor"));
  for (const std::vector<std::string>& device :
       {std::vector<std::string>{"--device", "cpu"}, std::vector<std::string>{"--engine", "onednn"},
        std::vector<std::string>{}}) {
    std::vector<std::string> arguments = {"--reduce", "fast"};
    arguments.insert(arguments.end(), device.begin(), device.end());
    result = RunWorker(0, arguments);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.err, HasSubstr("--reduce fast: it is NCCL's all-reduce between GPUs"));
  }
  result = RunWorker(0, {"--device", "tpu"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("--device"));
}

TEST(WorkerDevice, NamesWhatCudaLacks) {
  if (testing::WhyNoTorchGpus(1).empty()) GTEST_SKIP() << "LibTorch can use a GPU here";
  for (const std::string engine : {"auto", "torch"}) {
    const CommandResult result = RunWorker(0, {"--device", "cuda", "--engine", engine});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.err, AnyOf(HasSubstr("--device cuda: engine torch: built without LibTorch"),
                                  HasSubstr("--device cuda: engine torch: this LibTorch"),
                                  HasSubstr("finds no GPU that it can use")));
  }
  const CommandResult result = RunWorker(2, {"--device", "cuda"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, AnyOf(HasSubstr("built without CUDA and NCCL"),
                                HasSubstr("this process may use no GPU"),
                                HasSubstr("every worker needs a GPU of its own")));
}

// Results from before there were devices compare as equal.
TEST(WorkerDevice, RecordsTheProcessorAsResultsAlwaysDid) {
  const testing::TemporaryFolder folder;
  const std::string out = folder.path() / "out";
  ASSERT_EQ(RunWorker(0, {"--device", "cpu", "--output", out}).exit_code, 0);
  const auto result = nlohmann::json::parse(testing::ReadText(out + "/result.json"));
  EXPECT_FALSE(result["configuration"].contains("device"));
  EXPECT_FALSE(result["configuration"].contains("reduce"));
  EXPECT_EQ(RunWorker(0, {"--reduce", "ordered", "--output", out}).exit_code, 0)
      << "the same may rerun";
}

// oneDNN takes the processor for an older one.
TEST(WorkerDevice, RefusesBf16WhereTheProcessorHasNone) {
  const testing::TemporaryFolder folder;
  const std::string out = folder.path() / "out";
  for (const std::string isa : {"AVX2", "AVX512_CORE"}) {
    std::vector<std::string> command = testing::WorkerCommandLine(
        0, {"--data", "synthetic-small", "--precision", "bf16", "--output", out});
    command.insert(command.begin(), {"env", "ONEDNN_MAX_CPU_ISA=" + isa});
    const CommandResult result = testing::RunCommand(command);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.err, HasSubstr("--precision bf16: it needs a processor with avx512_bf16"));
    EXPECT_FALSE(std::filesystem::exists(out));
  }
}

TEST(WorkerDevice, RefusesBf16ForTheEngineTorch) {
  const CommandResult result = RunWorker(0, {"--precision", "bf16", "--engine", "torch"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("--precision bf16: the engine torch computes in fp32 only"));
}

TEST(WorkerDevice, Bf16HasOneDigestForAnyThreadsShardsAndRanks) {
  DCN_SKIP_WITHOUT_ENGINE(testing::kBf16Engine);
  const auto digest = [](int ranks, const std::string& threads, const std::string& shards) {
    const CommandResult run =
        RunWorker(ranks, {"--precision", "bf16", "--threads", threads, "--shards", shards});
    EXPECT_EQ(run.exit_code, 0) << run.err;
    return testing::DigestIn(run.out);
  };
  const std::string expected = digest(0, "1", "1");
  EXPECT_EQ(expected.size(), 32U);
  EXPECT_EQ(digest(0, "3", "5"), expected);
  EXPECT_EQ(digest(2, "1", "1"), expected);
  EXPECT_EQ(digest(3, "2", "2"), expected);
}

TEST(WorkerDevice, RefusesTheOutputOfAnotherPrecision) {
  DCN_SKIP_WITHOUT_ENGINE(testing::kBf16Engine);
  const testing::TemporaryFolder folder;
  const std::string out = folder.path() / "out";
  ASSERT_EQ(RunWorker(0, {"--precision", "bf16", "--output", out}).exit_code, 0);
  const auto result = nlohmann::json::parse(testing::ReadText(out + "/result.json"));
  EXPECT_EQ(result["precision"], "bf16");
  EXPECT_EQ(result["configuration"]["precision"], "bf16");
  const CommandResult other = RunWorker(0, {"--output", out});
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_THAT(other.err, HasSubstr("precision"));
}

}  // namespace
}  // namespace dcn::launch
