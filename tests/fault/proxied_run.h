// Runs of real workers and servers whose connections pass proxies (tests/testing/tcp_proxy.h).
//
// What the proxies do is drawn from a seed (repeat_command.h). DCN_FAULT_LENGTH: so many times as
// many steps (1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/random.h"
#include "tests/testing/server_process.h"
#include "tests/testing/tcp_proxy.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::testing {

/// What is drawn for one frame: a function of the seed and the frame's place, whenever it comes.
class Draw {
 public:
  Draw(std::uint64_t seed, std::size_t server, const ProxiedFrame& frame)
      : random_(seed, 4 * frame.connection + (frame.direction == Direction::kToServer ? 2U : 0U) +
                          server),
        first_(8 * frame.number) {}

  [[nodiscard]] bool OneIn(std::uint64_t many) { return Below(many) == 0; }
  [[nodiscard]] std::size_t Below(std::uint64_t bound) {
    return BoundedWord(random_.Word64(first_ + drawn_++), bound);
  }

 private:
  RandomStream random_;
  std::uint64_t first_;
  std::uint64_t drawn_ = 0;
};

struct RunSize {
  std::uint64_t steps = 0;
  std::uint64_t batch_size = 0;
};

/// How a run ended, and what it took.
struct RunEnd {
  std::string digest;
  std::size_t worker_memory = 0;  // the most of one process
  std::size_t server_memory = 0;
};

class ProxiedRun : public ::testing::Test {
 protected:
  using ServerPlan = std::function<FrameFate(std::size_t server, const ProxiedFrame& frame)>;
  static constexpr std::size_t kServers = 2;
  static constexpr int kRanks = 2;
  static constexpr int kShards = 2;  // of each server

  ProxiedRun();
  /// Fails the test where a process of the run is left.
  ~ProxiedRun() override;

  void StartServers();
  /// A run with new servers, through proxies with this plan, which outlives them. Fails the test
  /// where it does not end well, or leaves connections.
  RunEnd RunThrough(RunSize size, const ServerPlan& plan);
  /// A run with the servers that were started, without proxies.
  RunEnd RunDirectly(RunSize size);
  /// The digest of the undisturbed run: one process, without servers.
  std::string Oracle(RunSize size);

  /// What the servers have refused, by reason.
  [[nodiscard]] std::map<std::string, std::uint64_t> Refused() const;
  /// Of all proxies together.
  [[nodiscard]] ProxyCounts Counts() const;

  const std::uint64_t seed_;
  const std::uint64_t length_;
  std::vector<std::unique_ptr<ServerProcess>> servers_;
  std::vector<std::unique_ptr<TcpProxy>> proxies_;

 private:
  RunEnd Run(RunSize size, int ranks, const std::vector<std::string>& servers);
  void ExpectNoMoreDescriptors(std::size_t server, std::size_t before) const;

  const std::string job_;
  TemporaryFolder folder_;
};

}  // namespace dcn::testing
