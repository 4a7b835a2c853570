// A job of many steps: what is kept of a request is gone when it has ended.

#include <cstddef>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "ps/client/remote_shard.h"
#include "tests/ps/client/remote_job.h"

namespace dcn::ps {
namespace {

using testing::ConnectionOptions;
using testing::RemoteJob;
using testing::StartServer;

#ifdef DCN_SANITIZED
constexpr Step kRequests = 10'000;
#else
constexpr Step kRequests = 100'000;
#endif

TEST(JobConnectionGrowthTest, NothingIsLeftOfAHundredThousandRequests) {
  const auto server = StartServer();
  RemoteJob job({ConnectionOptions({server->address()})});
  auto& shard = dynamic_cast<RemoteShard&>(*job.clients()[0][0]);
  const std::vector<TableDefinition> tables = {{"a", 2, {.seed = 1}, SgdOptions{}}};
  ASSERT_TRUE(shard.CreateTables(tables).ok());
  const std::vector<Key> keys = {1, 2, 3};
  const std::vector<std::uint16_t> nodes = {0, 0, 0};
  const std::vector<TreeNode> tree = {{0, 0}};
  const std::vector<float> gradient(6, 0.125F);
  std::vector<float> values(6);
  const std::vector<RowGradients> gradients = {
      {.table = 0, .keys = keys, .nodes = nodes, .values = gradient}};
  const std::vector<RowsToPull> pull = {{.table = 0, .keys = keys, .values = values}};
  for (Step step = 1; step <= kRequests; ++step) {
    shard.StartPushPull(
        {.rank = 0, .step = step, .learning_rate = 1e-3F, .nodes = tree, .gradients = gradients},
        pull);
    const Status status = shard.Finish();
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  EXPECT_EQ(*job.connection(0).CountPending(), 0U);
  EXPECT_LE(shard.idle_bodies(), 2U);
  const Traffic traffic = job.connection(0).traffic();
  EXPECT_EQ(traffic.reconnects, 0U);
  EXPECT_GT(traffic.bytes_sent, kRequests * sizeof(float) * gradient.size());
  EXPECT_GT(traffic.bytes_received, kRequests * sizeof(float) * values.size());
  const auto status = nlohmann::json::parse(*server->StatusText());
  EXPECT_EQ(status["connections"]["open"], 1);
  EXPECT_GE(status["requests"], kRequests);
  EXPECT_EQ(job.End().ToString(), "ok");
}

}  // namespace
}  // namespace dcn::ps
