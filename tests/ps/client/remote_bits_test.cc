// Shards behind sockets give the bits of shards in this process, whatever the network does.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "common/random.h"
#include "common/thread_pool.h"
#include "ps/client/job_connection.h"
#include "tests/ps/client/job_script.h"
#include "tests/ps/client/remote_job.h"
#include "tests/testing/tcp_proxy.h"

namespace dcn::ps {
namespace {

using dcn::testing::FrameFate;
using dcn::testing::FramePlan;
using dcn::testing::ProxiedFrame;
using dcn::testing::TcpProxy;
using testing::ConnectionOptions;
using testing::JobScript;
using testing::RemoteJob;
using testing::RunOnThreads;
using testing::StartServer;
using namespace std::chrono_literals;

struct Layout {
  std::uint32_t ranks = 0;
  std::vector<std::uint32_t> shards;  // by server
};

std::string NameOf(const ::testing::TestParamInfo<Layout>& info) {
  std::string name = fmt::format("Ranks{}Shards", info.param.ranks);
  for (const std::uint32_t shards : info.param.shards) name += fmt::format("_{}", shards);
  return name;
}

class RemoteBitsTest : public ::testing::TestWithParam<Layout> {
 protected:
  RemoteBitsTest() {
    for (const std::uint32_t shards : GetParam().shards) {
      servers_.push_back(StartServer({.shards = shards}));
      shards_ += shards;
    }
  }

  // Every rank reaches every server through a proxy of its own, if there is a plan.
  RemoteJob Connect(const FramePlan& plan) {
    std::vector<JobConnectionOptions> ranks;
    for (std::uint32_t rank = 0; rank < GetParam().ranks; ++rank) {
      std::vector<std::string> addresses;
      for (const auto& server : servers_) {
        if (plan) proxies_.push_back(std::make_unique<TcpProxy>(server->port(), plan));
        addresses.push_back(plan ? proxies_.back()->address() : server->address());
      }
      ranks.push_back(ConnectionOptions(addresses, rank, GetParam().ranks));
    }
    return RemoteJob(ranks);
  }

  void ExpectSameBits(RemoteJob& job, std::uint64_t seed, std::size_t rounds) {
    const JobScript script(seed, rounds);
    ThreadPool pool(static_cast<int>(GetParam().ranks));
    const auto local = script.RunLocally(GetParam().ranks, shards_);
    const auto remote = script.Run(job.clients(), RunOnThreads(pool));
    ASSERT_TRUE(local.ok()) << local.status().ToString();
    ASSERT_TRUE(remote.ok()) << remote.status().ToString();
    ASSERT_EQ(local->size(), remote->size());
    for (std::size_t rank = 0; rank < local->size(); ++rank) {
      EXPECT_GT((*local)[rank].size(), 1000U);
      EXPECT_TRUE((*local)[rank] == (*remote)[rank]) << "seed " << seed << ", rank " << rank;
    }
  }

  std::vector<std::unique_ptr<Server>> servers_;
  std::size_t shards_ = 0;
  // What the plans use outlives the proxies.
  std::atomic<std::uint64_t> word_ = 0;
  std::atomic<bool> is_calm_ = false;
  std::vector<std::unique_ptr<TcpProxy>> proxies_;
};

TEST_P(RemoteBitsTest, EqualsLocalShards) {
  RemoteJob job = Connect({});
  ExpectSameBits(job, 1, 60);
  for (std::uint32_t rank = 0; rank < GetParam().ranks; ++rank) {
    EXPECT_EQ(*job.connection(rank).CountPending(), 0U);
    EXPECT_EQ(job.connection(rank).traffic().reconnects, 0U);
  }
  EXPECT_EQ(job.End().ToString(), "ok");
  for (const auto& server : servers_) EXPECT_FALSE(*server->IsJobHeld());
}

TEST_P(RemoteBitsTest, EqualsLocalShardsWhenRanksComeInAnyOrder) {
  RemoteJob job = Connect([this](const ProxiedFrame& /*frame*/) {
    const std::uint64_t at = word_++;
    FrameFate fate;
    fate.delay = std::chrono::milliseconds(RandomStream(2, 0).Word(at) % 8);
    return fate;
  });
  ExpectSameBits(job, 2, 25);
  EXPECT_EQ(job.End().ToString(), "ok");
}

TEST_P(RemoteBitsTest, EqualsLocalShardsInSingleBytes) {
  RemoteJob job = Connect([](const ProxiedFrame& frame) {
    FrameFate fate;
    fate.piece_bytes = frame.bytes < 3000 || frame.number == 5 ? 1U : 0U;
    return fate;
  });
  ExpectSameBits(job, 3, 12);
  EXPECT_EQ(job.End().ToString(), "ok");
}

TEST_P(RemoteBitsTest, EqualsLocalShardsInSpiteOfCuts) {
  RemoteJob job = Connect([this](const ProxiedFrame& frame) {
    const RandomStream random(4, 0);
    const std::uint64_t at = 2 * word_++;
    FrameFate fate;
    if (!is_calm_ && random.Word(at) % 12 == 0) {
      fate.bytes_left = random.Word(at + 1) % (frame.bytes + 1);
    }
    return fate;
  });
  ExpectSameBits(job, 4, 60);
  std::uint64_t cuts = 0;
  for (const auto& proxy : proxies_) cuts += proxy->counts().cuts;
  EXPECT_GT(cuts, 3U);
  is_calm_ = true;
  EXPECT_EQ(job.End().ToString(), "ok");
}

INSTANTIATE_TEST_SUITE_P(Layouts, RemoteBitsTest,
                         ::testing::Values(Layout{1, {1}}, Layout{2, {1}}, Layout{2, {2}},
                                           Layout{2, {1, 1, 1}}, Layout{3, {1}}, Layout{3, {3}},
                                           Layout{3, {2, 1}}),
                         NameOf);

}  // namespace
}  // namespace dcn::ps
