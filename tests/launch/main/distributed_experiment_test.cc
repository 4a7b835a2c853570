// One model on real ratings, trained by one process and by several in many ways: one digest.
//
// Folders: DCN_ML1M_DIR (MovieLens-1M's format) and DCN_ML100K_DIR.

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "common/random.h"
#include "tests/testing/command.h"
#include "tests/testing/distributed_run.h"
#include "tests/testing/engines.h"
#include "tests/testing/first_step.h"
#include "tests/testing/server_process.h"
#include "tests/testing/tcp_proxy.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::launch {
namespace {

using testing::CommandResult;
using testing::ReadText;
using testing::ServerProcess;
using testing::TcpProxy;
using testing::TemporaryFolder;

// Servers, and before each of them a proxy that holds up each frame for a random while.
struct Servers {
  std::vector<std::unique_ptr<ServerProcess>> processes;
  std::vector<std::unique_ptr<TcpProxy>> proxies;
  std::string addresses;  // what --servers takes
};

class DistributedExperiment : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const bool is_ml1m = std::string(GetParam()) == "DCN_ML1M_DIR";
    const char* const data = std::getenv(GetParam());
    if (data == nullptr) {
      GTEST_SKIP() << GetParam() << " is not set: distributed training on it is not tested";
    }
    recipe_ = {"--data", data, "--data-cache", folder_.path(), "--log-level", "warning"};
    if (is_ml1m) {
      recipe_.insert(recipe_.end(), {"--max-steps", "40"});
    } else {
      recipe_.insert(recipe_.end(), {"--epochs", "8", "--train-fraction", "0.8"});
    }
  }

  std::string DigestOf(int ranks, const std::vector<std::string>& more) {
    std::vector<std::string> arguments = recipe_;
    arguments.insert(arguments.end(), more.begin(), more.end());
    const CommandResult run = testing::RunCommand(testing::WorkerCommandLine(ranks, arguments));
    EXPECT_EQ(run.exit_code, 0) << run.err;
    const std::string digest = testing::DigestIn(run.out);
    EXPECT_EQ(digest.size(), 32U) << run.out;
    return digest;
  }

  Servers StartServers(int count, const testing::FramePlan& plan = {}) {
    Servers servers;
    for (int i = 0; i < count; ++i) {
      servers.processes.push_back(
          std::make_unique<ServerProcess>(folder_.path(), fmt::format("server{}", ++started_)));
      std::string address = servers.processes.back()->address();
      if (plan) {
        servers.proxies.push_back(
            std::make_unique<TcpProxy>(servers.processes.back()->port(), plan));
        address = servers.proxies.back()->address();
      }
      servers.addresses += (i == 0 ? "" : ",") + address;
    }
    return servers;
  }

  [[nodiscard]] double RmseOf(const std::string& engine) {
    const std::string output = folder_.path() / engine;
    DigestOf(0, {"--engine", engine, "--output", output});
    return nlohmann::json::parse(ReadText(output + "/result.json"))["test_rmse"].get<double>();
  }

  TemporaryFolder folder_;
  std::vector<std::string> recipe_;
  int started_ = 0;  // servers so far
};

TEST_P(DistributedExperiment, HasOneDigestForAnyThreadsRanksAndShardsInside) {
  const std::string digest = DigestOf(0, {"--threads", "1"});
  EXPECT_EQ(DigestOf(0, {"--threads", "3", "--shards", "2"}), digest);
  for (const int ranks : {2, 3, 4}) {
    for (const char* shards : {"1", "2"}) {
      EXPECT_EQ(DigestOf(ranks, {"--shards", shards}), digest)
          << ranks << " ranks, " << shards << " shards each";
    }
  }
  EXPECT_EQ(DigestOf(2, {"--threads", "3"}), digest);
}

TEST_P(DistributedExperiment, HasOneDigestForAnyRanksAndServers) {
  const std::string digest = DigestOf(0, {});
  for (const int count : {1, 2, 3}) {
    const Servers servers = StartServers(count);
    for (const int ranks : {2, 3}) {
      EXPECT_EQ(DigestOf(ranks, {"--servers", servers.addresses}), digest)
          << ranks << " ranks, " << count << " servers";
    }
  }
}

TEST_P(DistributedExperiment, HasOneDigestInWhateverOrderPushesArrive) {
  std::atomic<std::uint64_t> word = 0;
  const Servers servers = StartServers(2, [&word](const testing::ProxiedFrame&) {
    testing::FrameFate fate;
    fate.delay = std::chrono::milliseconds(RandomStream(1, 0).Word(word++) % 12);
    return fate;
  });
  EXPECT_EQ(DigestOf(3, {"--servers", servers.addresses}), DigestOf(0, {}));
  EXPECT_GT(word.load(), 400U);
}

TEST_P(DistributedExperiment, HasOneDigestWithTheTorchEngineToo) {
  DCN_SKIP_WITHOUT_ENGINE("torch");
  const std::string digest = DigestOf(0, {"--engine", "torch"});
  EXPECT_EQ(DigestOf(0, {"--engine", "torch", "--threads", "3"}), digest);
  EXPECT_EQ(DigestOf(2, {"--engine", "torch"}), digest);
  const Servers servers = StartServers(2);
  EXPECT_EQ(DigestOf(3, {"--engine", "torch", "--servers", servers.addresses}), digest);
}

TEST_P(DistributedExperiment, HasTheSameFirstGradientsWithEitherEngine) {
  DCN_SKIP_WITHOUT_ENGINE("torch");
  for (const char* model : {"dcn", "dcn-lowrank", "dnn"}) {
    SCOPED_TRACE(model);
    const auto gradients = [&](const std::string& engine) {
      return testing::FirstStepGradients({"--data", std::getenv(GetParam()), "--data-cache",
                                          folder_.path(), "--model", model, "--engine", engine},
                                         folder_.path() / (engine + model));
    };
    testing::ExpectGradientsAgree(gradients("torch"), gradients("onednn"), 1e-5);
  }
}

TEST_P(DistributedExperiment, HasTheSameErrorWithEitherEngine) {
  DCN_SKIP_WITHOUT_ENGINE("torch");
  EXPECT_NEAR(RmseOf("torch"), RmseOf("onednn"), .0005);
}

INSTANTIATE_TEST_SUITE_P(Data, DistributedExperiment,
                         ::testing::Values("DCN_ML1M_DIR", "DCN_ML100K_DIR"),
                         [](const auto& data) { return std::string(data.param); });

}  // namespace
}  // namespace dcn::launch
