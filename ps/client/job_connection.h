// One rank's connections to all servers of its job, and the thread that serves them.
//
//   auto job = JobConnection::Create(options);        every rank
//   rank 0: epoch = QueryLastEpoch() + 1, and a random run, told to all other ranks
//   Connect(epoch, run); MakeShards(server) for each; training; EndJob()
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/net/pulse.h"
#include "common/status.h"
#include "ps/shard_client.h"

namespace dcn::ps {

/// Where a server is.
struct ServerPlace {
  /// HOST:PORT each, all of the same server; tried in this order. The first names it in errors.
  std::vector<std::string> addresses;
  std::uint64_t incarnation = 0;  // which server is meant there; 0: whichever it is
};

struct JobConnectionOptions {
  std::vector<ServerPlace> servers;         // in the same order for all ranks
  std::optional<std::size_t> local_server;  // the one of this process: reached without a connection
  std::string job;
  std::uint32_t rank = 0;
  std::uint32_t ranks = 1;
  std::string token;
  std::chrono::milliseconds connect_timeout{30'000};   // servers may start later
  std::chrono::milliseconds request_timeout{60'000};   // a request waits for the slowest rank
  std::chrono::milliseconds reconnect_timeout{2'500};  // servers give a lost rank 3 s
  // A server that was there and whose system says for so long that nobody listens is dead.
  std::chrono::milliseconds refused_timeout{500};
  net::Heartbeat heartbeat{};
};

/// Bytes of requests (repetitions too) and answers, their headers included, hellos not.
struct Traffic {
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  std::uint64_t reconnects = 0;  // connections that were lost and came back
};

/// Outlives the shards that it makes.
/// Thread safety: calls come from one thread at a time, but for traffic() and failure(), which may
/// come from any.
class JobConnection {
 public:
  /// Connects to nobody yet.
  /// kInvalidArgument: an address that is none, a server without one, a job name or a token that no
  /// message holds.
  [[nodiscard]] static Result<std::unique_ptr<JobConnection>> Create(JobConnectionOptions options);

  /// Closes the connections. Without an EndJob the servers take this rank for lost.
  ~JobConnection();
  JobConnection(const JobConnection&) = delete;
  JobConnection& operator=(const JobConnection&) = delete;

  /// Asks every server (but the local one) for the highest epoch that it has seen, of whatever job,
  /// and returns the highest; 0: none. Errors as Connect.
  [[nodiscard]] Result<std::uint64_t> QueryLastEpoch();

  /// Connects to every server (but the local one), at the same time to all. Once. run: a number
  /// that rank 0 has drawn, the same for all ranks (Hello::run).
  /// Errors name the server: kUnavailable: nobody is there within the connect timeout, or the
  /// server is busy with another job, or it is another one than the one that is meant.
  /// kDeadlineExceeded: somebody is there, who does not answer. kInvalidArgument: refused for good
  /// (a wrong token, another number of ranks than the other ranks say), or two of the addresses are
  /// one server's.
  [[nodiscard]] Status Connect(std::uint64_t epoch, std::uint64_t run = 0);

  /// Shards of a server; 0 of the local one. REQUIRES: connected.
  [[nodiscard]] std::uint32_t shards(std::size_t server) const;
  /// This rank's way to each shard of a server, in order; none of the local one.
  /// REQUIRES: connected.
  [[nodiscard]] std::vector<std::unique_ptr<ShardClient>> MakeShards(std::size_t server);

  /// Tells every server that this rank is through with the job, waits for the answers and closes.
  /// Errors as RemoteShard's; the first one.
  [[nodiscard]] Status EndJob();

  /// Any thread: why the job cannot go on, as the servers or the connections to them have told; OK:
  /// nothing is known. For ranks that wait for one another.
  [[nodiscard]] Status failure() const;

  [[nodiscard]] Traffic traffic() const;
  /// Requests that have not ended; asks the thread. kInternal: it does not answer.
  [[nodiscard]] Result<std::size_t> CountPending();

 private:
  class Impl;
  explicit JobConnection(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace dcn::ps
