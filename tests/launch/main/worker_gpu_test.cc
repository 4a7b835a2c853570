// dcn_worker on GPUs: one digest for any number of threads and of workers. Skipped, loudly, where
// LibTorch has no GPU.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/testing/distributed_run.h"
#include "tests/testing/engines.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::launch {
namespace {

using testing::CommandResult;

class WorkerOnGpus : public ::testing::Test {
 protected:
  CommandResult Run(int ranks, const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"--data",       "synthetic-small",
                                          "--batch-size", "1600",
                                          "--slice-rows", "128",
                                          "--max-steps",  "12",
                                          "--device",     "cuda",
                                          "--output",     out_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return testing::RunCommand(testing::WorkerCommandLine(ranks, arguments));
  }
  [[nodiscard]] nlohmann::json Result() const {
    return nlohmann::json::parse(testing::ReadText(out_ + "/result.json"));
  }

  const testing::TemporaryFolder folder_;
  const std::string out_ = folder_.path() / "out";
};

TEST_F(WorkerOnGpus, HaveOneDigestForAnyNumberOfThreads) {
  DCN_SKIP_WITHOUT_TORCH_GPUS(1);
  const CommandResult one = Run(0, {"--threads", "1"});
  ASSERT_EQ(one.exit_code, 0) << one.err;
  EXPECT_EQ(Result()["configuration"]["device"], "cuda");
  for (const char* threads : {"2", "4"}) {
    EXPECT_EQ(testing::DigestIn(Run(0, {"--threads", threads}).out), testing::DigestIn(one.out));
  }
}

TEST_F(WorkerOnGpus, HaveOneDigestForAnyNumberOfWorkers) {
  DCN_SKIP_WITHOUT_TORCH_GPUS(2);
  const CommandResult one = Run(0, {});
  ASSERT_EQ(one.exit_code, 0) << one.err;
  for (int ranks = 2; testing::WhyNoTorchGpus(ranks).empty(); ++ranks) {
    const CommandResult several = Run(ranks, {});
    ASSERT_EQ(several.exit_code, 0) << several.err;
    EXPECT_EQ(testing::DigestIn(several.out), testing::DigestIn(one.out)) << ranks;
    EXPECT_TRUE(Result()["versions"].contains("nccl"));
  }
}

TEST_F(WorkerOnGpus, TrainByNcclsOwnSum) {
  DCN_SKIP_WITHOUT_TORCH_GPUS(2);
  const CommandResult several = Run(2, {"--reduce", "fast"});
  ASSERT_EQ(several.exit_code, 0) << several.err;
  EXPECT_EQ(Result()["configuration"]["reduce"], "fast");
}

}  // namespace
}  // namespace dcn::launch
