// A job of several ranks in this process, each with its own connections to the servers.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <spdlog/spdlog.h>

#include "common/check.h"
#include "ps/client/job_connection.h"
#include "ps/server/server.h"
#include "tests/ps/client/job_script.h"

namespace dcn::ps::testing {

/// A server on a free port. Throws std::runtime_error where it does not start.
inline std::unique_ptr<Server> StartServer(const ServerOptions& options = {}) {
  // The logger is made here, as in the programs: two servers' threads that made it at the same time
  // would do so safely, but by a lock that ThreadSanitizer cannot see in a library without it.
  spdlog::default_logger_raw();
  auto server = Server::Start(options);
  if (!server.ok()) throw std::runtime_error(server.status().ToString());
  return std::move(*server);
}

/// How one rank reaches the servers, with times that fit a test.
inline JobConnectionOptions ConnectionOptions(const std::vector<std::string>& addresses,
                                              std::uint32_t rank = 0, std::uint32_t ranks = 1) {
  JobConnectionOptions options;
  options.job = std::string("x");
  options.rank = rank;
  options.ranks = ranks;
  for (const std::string& address : addresses) {
    options.servers.push_back({.addresses = {address}, .incarnation = 0});
  }
  options.connect_timeout = std::chrono::seconds(20);
  options.request_timeout = std::chrono::seconds(60);
  return options;
}

inline std::unique_ptr<JobConnection> MakeConnection(JobConnectionOptions options) {
  auto connection = JobConnection::Create(std::move(options));
  if (!connection.ok()) throw std::runtime_error(connection.status().ToString());
  return std::move(*connection);
}

class RemoteJob {
 public:
  /// ranks: how each of them reaches the servers. Throws std::runtime_error where that fails.
  explicit RemoteJob(const std::vector<JobConnectionOptions>& ranks) {
    for (const JobConnectionOptions& options : ranks) {
      connections_.push_back(MakeConnection(options));
    }
    const auto last = connections_.front()->QueryLastEpoch();
    Require(last.status());
    for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
      Require(connections_[rank]->Connect(*last + 1));
      shards_.emplace_back();
      clients_.emplace_back();
      for (std::size_t server = 0; server < ranks[rank].servers.size(); ++server) {
        for (auto& shard : connections_[rank]->MakeShards(server)) {
          clients_.back().push_back(shard.get());
          shards_.back().push_back(std::move(shard));
        }
      }
    }
  }

  /// By rank, in the order of servers and their shards.
  [[nodiscard]] const std::vector<RankClients>& clients() const { return clients_; }
  [[nodiscard]] JobConnection& connection(std::size_t rank) { return *connections_[rank]; }

  /// Of all ranks; the first error.
  [[nodiscard]] Status End() {
    Status first;
    for (const auto& connection : connections_) {
      const Status status = connection->EndJob();
      if (first.ok()) first = status;
    }
    return first;
  }

 private:
  static void Require(const Status& status) {
    if (!status.ok()) throw std::runtime_error(status.ToString());
  }

  std::vector<std::unique_ptr<JobConnection>> connections_;
  std::vector<std::vector<std::unique_ptr<ShardClient>>> shards_;  // by rank
  std::vector<RankClients> clients_;
};

}  // namespace dcn::ps::testing
