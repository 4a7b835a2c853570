// A rank that lives in its server's process: takes part in the job like a connection, without one.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "common/status.h"
#include "ps/server/shard_desk.h"
#include "ps/server/shard_thread.h"
#include "ps/shard_client.h"

namespace dcn::ps {

/// Made by Server::ConnectLocal. Outlives the clients that it makes; the server outlives it.
/// Thread safety: calls come from one thread at a time.
class HostedRank {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  /// What it needs of the server. end: as EndJob. disconnect: the rank is gone.
  struct Hooks {
    std::function<Status(TimePoint deadline)> end;
    std::function<void()> disconnect;
  };

  HostedRank(Sender sender, std::vector<ShardThread*> shards, Hooks hooks);
  /// Without an EndJob the rank is lost: after the grace, the epoch is broken.
  ~HostedRank();
  HostedRank(const HostedRank&) = delete;
  HostedRank& operator=(const HostedRank&) = delete;

  [[nodiscard]] std::uint32_t shards() const { return static_cast<std::uint32_t>(shards_.size()); }

  /// This rank's way to one shard. shard: below shards(). timeout: of each of its requests.
  [[nodiscard]] std::unique_ptr<ShardClient> MakeShard(std::uint32_t shard,
                                                       std::chrono::milliseconds timeout);

  /// This rank is through with the job. When all ranks are, the tables are dropped.
  /// kUnavailable: the epoch is broken or over. kDeadlineExceeded.
  [[nodiscard]] Status EndJob(TimePoint deadline);

 private:
  const Sender sender_;
  const std::vector<ShardThread*> shards_;
  const Hooks hooks_;
};

}  // namespace dcn::ps
