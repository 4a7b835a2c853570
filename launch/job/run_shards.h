// The shards of a run, wherever they live, and this rank's way to each of them.
//
//   one process             shards in it, called directly
//   several ranks           every rank hosts a server with its shards; its own rank goes to them
//                           directly, the others through their ports
//   --servers               shards in dcn_ps processes
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/status.h"
#include "launch/job/host.h"
#include "launch/job/job_ranks.h"
#include "ps/client/job_connection.h"
#include "ps/protocol.h"
#include "worker/train/training_step.h"

namespace dcn::job {

struct ShardOptions {
  std::vector<std::string> servers;  // HOST:PORT of dcn_ps processes; none: the ranks host shards
  std::uint32_t shards = 1;          // of this process, where it hosts some
  std::string job;                   // its name on the servers
  std::string token;                 // of the servers; empty: they ask for none
  /// Rank 0's: the epoch of this life of the job, above the highest that a server has seen.
  std::function<Result<std::uint64_t>(std::uint64_t seen)> raise_epoch;
  std::chrono::milliseconds connect_timeout{30'000};
  std::chrono::milliseconds request_timeout{60'000};
};

/// Thread safety: calls come from the thread that uses the ranks' communicator.
class RunShards {
 public:
  /// Called by all ranks, which must agree on servers and job. hosts: by rank. Connects, and
  /// creates the tables. Leaves the ranks' timeout at options.request_timeout.
  /// Errors: those of Exchange, Server::Start, JobConnection::Connect, ShardClient::CreateTables;
  /// where one rank fails, the others may wait for it: Abort.
  [[nodiscard]] static Result<std::unique_ptr<RunShards>> Open(
      const ShardOptions& options, std::span<const ps::TableDefinition> tables,
      std::span<const Host> hosts, JobRanks& ranks);

  virtual ~RunShards() = default;

  /// In the same order on every rank.
  [[nodiscard]] virtual train::Shards& clients() = 0;
  /// Of this life of the job.
  [[nodiscard]] virtual std::uint64_t epoch() const = 0;
  /// Processes that hold the shards.
  [[nodiscard]] virtual std::size_t servers() const = 0;
  [[nodiscard]] virtual ps::Traffic traffic() const = 0;

  /// Ends the job: the servers drop its tables; one that does not answer any more is logged. Called
  /// by all ranks; returns once no rank needs the shards. Leaves the ranks' timeout at what ranks
  /// may take that have nothing left to do with one another. Errors: those of Exchange.
  [[nodiscard]] virtual Status Close() = 0;
};

}  // namespace dcn::job
