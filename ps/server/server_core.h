// The part of a server that lives on its I/O thread: connections, the job, the way to the shards.
//
// Decides little itself: job_desk.h says who may connect, shard_desk.h (on the shards' threads)
// what is answered when. This carries messages between the two and the connections.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <spdlog/common.h>

#include "common/net/listener.h"
#include "common/net/pulse.h"
#include "common/net/task_scope.h"
#include "ps/message.h"
#include "ps/server/job_desk.h"
#include "ps/server/request_poster.h"
#include "ps/server/server_session.h"
#include "ps/server/server_status.h"
#include "ps/server/shard_thread.h"

namespace dcn::ps {

/// Thread safety: none; confined to the I/O thread once Start was called.
class ServerCore final : public SessionHandler {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  struct Options {
    std::uint64_t incarnation = 0;
    std::string token;
    JobDesk::Options job;
    std::chrono::milliseconds hello_timeout{};
    net::Heartbeat heartbeat;
    bool is_hosted = false;  // as ServerOptions'
    /// How loud a line about jobs is that is usually of `level`.
    [[nodiscard]] spdlog::level::level_enum Loudness(spdlog::level::level_enum level) const {
      return is_hosted ? spdlog::level::debug : level;
    }
  };

  /// shards: outlive this object. on_exception: as TaskScope's.
  ServerCore(Options options, net::Listener listener,
             std::vector<std::unique_ptr<ShardThread>>& shards,
             const net::TaskScope::ExceptionHandler& on_exception);
  ~ServerCore() override = default;

  /// Starts to accept and to keep time.
  void Start();

  /// As Server::Stop; `done` is called once everything is closed.
  void Stop(TimePoint deadline, std::function<void(const Status&)> done);

  /// Refuses everything from now on: a bug has stopped a part of the server.
  void Fail(const Status& failure);

  // --- ranks of this process
  // -----------------------------------------------------------------------

  /// As a worker's hello without a token; returns the connection's id.
  [[nodiscard]] Result<ConnectionId> ConnectLocal(const Hello& hello, std::uint64_t epoch);
  [[nodiscard]] Status EndJob(ConnectionId connection);
  void DisconnectLocal(ConnectionId connection);

  // --- status
  // --------------------------------------------------------------------------------------

  /// Asks every shard, then calls `use` with the text, on this thread.
  void CollectStatus(std::function<void(std::string text)> use);
  [[nodiscard]] bool is_job_held();
  [[nodiscard]] const net::Address& address() const { return listener_.address(); }

  // --- SessionHandler
  // ------------------------------------------------------------------------------

  void OnFrame(ServerSession& session, const net::FrameHeader& header,
               std::shared_ptr<Body>& body) override;
  void OnRefused(ServerSession& session, Refusal reason) override;
  void OnFailureSent() override { ++counters_.failures; }
  void OnClosed(ServerSession& session) override;

 private:
  void OnSocket(boost::asio::ip::tcp::socket socket);
  void OnHello(ServerSession& session, const net::FrameHeader& header, const Body& body);
  // Turns a hello away, with an answer that says why.
  void TurnAway(ServerSession& session, std::uint64_t request_id, Refusal reason,
                const Status& status);
  [[nodiscard]] Status Admit(const Hello& hello, std::uint64_t epoch, ConnectionId connection);
  void OnObserverFrame(ServerSession& session, const net::FrameHeader& header, const Body& body);
  // False: no request that observers may make.
  [[nodiscard]] bool AnswerCommon(ServerSession& session, const net::FrameHeader& header,
                                  const Body& body);
  void OnWorkerFrame(ServerSession& session, const net::FrameHeader& header,
                     std::shared_ptr<Body>& body);
  void OnEndJob(ServerSession& session, const net::FrameHeader& header, const Body& body);

  // Does what the time has brought.
  void Tick();
  void FeelPulses(TimePoint now);
  void StartEpoch(ConnectionId first_connection);
  void BreakEpoch(const Status& status);
  void EndEpoch();
  [[nodiscard]] TimePoint next_deadline() const;
  boost::asio::awaitable<void> AsyncKeepTime();
  boost::asio::awaitable<void> AsyncStop(TimePoint deadline,
                                         std::function<void(const Status&)> done);
  [[nodiscard]] ServerStatus StatusWithoutShards() const;
  [[nodiscard]] std::vector<ServerStatus::QuietRank> QuietRanks() const;

  const Options options_;
  const TimePoint started_;
  net::Listener listener_;
  boost::asio::any_io_executor executor_;
  std::vector<std::unique_ptr<ShardThread>>& shards_;
  RequestPoster poster_;
  JobDesk job_;
  ServerCounters counters_;
  Status refusal_;  // of every hello, once stopping or failed
  bool is_stopping_ = false;
  ConnectionId last_connection_ = 0;
  std::map<ConnectionId, std::shared_ptr<ServerSession>> sessions_;
  std::deque<std::pair<TimePoint, ConnectionId>> hello_deadlines_;  // in order
  TimePoint next_look_ = TimePoint::max();                          // at the sessions' pulses
  boost::asio::steady_timer clock_;
  net::TaskScope tasks_;
  net::TaskScope stop_tasks_;  // what waits for the end of tasks_
};

}  // namespace dcn::ps
