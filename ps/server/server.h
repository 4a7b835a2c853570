// A parameter server: its shards, and the port at which trainers reach them.
//
// dcn_ps runs one; a dcn_worker runs one in its own process, whose own rank then goes to the shards
// directly (ConnectLocal) while the other ranks come through the port. One I/O thread, one thread a
// shard. PROTOCOL.md tells what is said on a connection, job_desk.h who may say it when.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "common/net/pulse.h"
#include "common/status.h"
#include "ps/message.h"
#include "ps/server/hosted_rank.h"

namespace dcn::ps {

struct ServerOptions {
  std::string listen = "127.0.0.1:0";  // HOST:PORT; port 0: any free one
  std::uint32_t shards = 1;            // >= 1
  std::string token{};                 // asked of every connection; empty: none is
  bool is_insecure = false;            // whether to listen beyond this machine without a token
  std::chrono::milliseconds lease{300'000};         // memory of a job that lost a rank
  std::chrono::milliseconds reconnect_grace{3000};  // a rank may be gone for so long
  std::string checkpoint_root{};  // below which jobs may have snapshots written; empty: nowhere
  // Whether the server is the job's own, in a worker's process: a job's end by force is no warning
  // then, and answers are not written in long pieces (net::Connection::WriteLongPieces).
  bool is_hosted = false;
  std::chrono::milliseconds hello_timeout{5000};  // a connection without a hello is closed
  net::Heartbeat heartbeat{};                     // of ranks on connections
};

/// Thread safety: all calls but Start, Stop and the destructor may come from any thread.
class Server {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  /// Listens and serves from now on.
  /// kInvalidArgument: an address that cannot be listened at (in use, …) or that lies beyond this
  /// machine although there is no token; a token above kMaxTokenBytes.
  [[nodiscard]] static Result<std::unique_ptr<Server>> Start(const ServerOptions& options);

  /// Stops at once where Stop was not called. REQUIRES: the HostedRanks are gone.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  [[nodiscard]] const std::string& host() const;
  [[nodiscard]] std::uint16_t port() const;
  /// "HOST:PORT" as it is listened at.
  [[nodiscard]] std::string address() const;
  /// Drawn at the start: another server has another one.
  [[nodiscard]] std::uint64_t incarnation() const;
  [[nodiscard]] std::uint32_t shards() const;

  /// Makes a rank of this process take part in the job as a connection would, by the same rules:
  /// errors are those of JobDesk::Admit. No token is asked for. It is lost when the HostedRank is
  /// destroyed without an end.
  [[nodiscard]] Result<std::unique_ptr<HostedRank>> ConnectLocal(const Hello& hello,
                                                                 std::uint64_t epoch);

  /// The answer to a status query (server_status.h). kInternal: the server has failed.
  [[nodiscard]] Result<std::string> StatusText();

  /// Whether a job is held, broken or not.
  [[nodiscard]] Result<bool> IsJobHeld();

  /// OK; kInternal once a bug has stopped a shard or the I/O thread: the server refuses everything.
  /// kUnavailable: it was stopped.
  [[nodiscard]] Status failure() const;

  /// Refuses connections, breaks the epoch that is held (waiting requests are answered so), writes
  /// what is owed, closes. kDeadlineExceeded: closed nevertheless; names the connections that did
  /// not take their answers.
  [[nodiscard]] Status Stop(TimePoint deadline);

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace dcn::ps
