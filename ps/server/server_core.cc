#include "ps/server/server_core.h"

#include <algorithm>
#include <functional>

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <spdlog/spdlog.h>

namespace dcn::ps {
namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;

// Named in a status.
constexpr std::size_t kMaxQuietRanks = 16;

// Takes as long for a wrong token as for a right one of the same length.
bool AreEqual(std::string_view given, std::string_view expected) {
  unsigned difference = given.size() == expected.size() ? 0 : 1;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const char other = expected.empty() ? '\0' : expected[i % expected.size()];
    difference |= static_cast<unsigned char>(given[i] ^ other);
  }
  return difference == 0;
}

}  // namespace

ServerCore::ServerCore(Options options, net::Listener listener,
                       std::vector<std::unique_ptr<ShardThread>>& shards,
                       const net::TaskScope::ExceptionHandler& on_exception)
    : options_(std::move(options)),
      started_(Clock::now()),
      listener_(std::move(listener)),
      executor_(listener_.executor()),
      shards_(shards),
      poster_(shards),
      job_(options_.job),
      clock_(executor_),
      tasks_(executor_, on_exception),
      stop_tasks_(executor_, on_exception) {}

void ServerCore::Start() {
  tasks_.Start("accept", listener_.AsyncAccept([this](asio::ip::tcp::socket socket) {
    OnSocket(std::move(socket));
  }));
  tasks_.Start("keep time", AsyncKeepTime());
}

void ServerCore::OnSocket(asio::ip::tcp::socket socket) {
  const ConnectionId id = ++last_connection_;
  const auto session = std::make_shared<ServerSession>(id, std::move(socket), *this);
  if (!options_.is_hosted) session->WriteLongPieces();
  sessions_.emplace(id, session);
  ++counters_.connections_accepted;
  hello_deadlines_.emplace_back(Clock::now() + options_.hello_timeout, id);
  clock_.cancel();
  const std::string& peer = session->connection().peer();
  tasks_.Start(fmt::format("read from {}", peer), ServerSession::AsyncRead(session));
  tasks_.Start(fmt::format("write to {}", peer), ServerSession::AsyncWrite(session));
}

void ServerCore::OnClosed(ServerSession& session) {
  counters_.bytes_received += session.connection().bytes_received();
  counters_.bytes_sent += session.connection().bytes_sent();
  job_.OnDisconnected(session.id(), Clock::now());
  sessions_.erase(session.id());
  clock_.cancel();
}

void ServerCore::OnRefused(ServerSession& session, Refusal reason) {
  ++counters_.refused[static_cast<std::size_t>(reason)];
  session.Close();
}

// --- hello
// ----------------------------------------------------------------------------------------

void ServerCore::OnFrame(ServerSession& session, const net::FrameHeader& header,
                         std::shared_ptr<Body>& body) {
  if ((header.flags & ~kKnownFlags) != 0) {
    OnRefused(session, Refusal::kMessage);
    return;
  }
  if (!session.is_welcome()) {
    OnHello(session, header, *body);
    return;
  }
  if (session.role() == Role::kObserver) {
    OnObserverFrame(session, header, *body);
  } else {
    OnWorkerFrame(session, header, body);
  }
}

void ServerCore::OnHello(ServerSession& session, const net::FrameHeader& header, const Body& body) {
  if (header.type != static_cast<std::uint16_t>(MessageType::kHello)) {
    OnRefused(session, Refusal::kNoHello);
    return;
  }
  const Result<Hello> hello = DecodeHello(body);
  if (!hello.ok()) {
    OnRefused(session, Refusal::kMessage);
    return;
  }
  if (!options_.token.empty() && !AreEqual(hello->token, options_.token)) {
    TurnAway(session, header.request_id, Refusal::kToken,
             Status(StatusCode::kInvalidArgument, "the token is missing or wrong (--token-file)"));
    return;
  }
  Status status = refusal_;
  if (status.ok() && hello->role == Role::kWorker) {
    status = Admit(*hello, header.job_epoch, session.id());
  }
  if (!status.ok()) {
    TurnAway(session, header.request_id, Refusal::kJob, status);
    return;
  }
  session.Welcome(hello->role, {.epoch = header.job_epoch, .rank = hello->rank});
  if (hello->role == Role::kWorker) {
    session.StartHeartbeats(options_.heartbeat, Clock::now());
    next_look_ = std::min(next_look_, session.next_look());
  }
  auto welcome = std::make_shared<Body>();
  Encode(Welcome{.incarnation = options_.incarnation,
                 .shards = static_cast<std::uint32_t>(shards_.size()),
                 .last_epoch = job_.epoch()},
         *welcome);
  session.Answer(header.request_id, MessageType::kWelcome, std::move(welcome));
}

void ServerCore::TurnAway(ServerSession& session, std::uint64_t request_id, Refusal reason,
                          const Status& status) {
  ++counters_.refused[static_cast<std::size_t>(reason)];
  session.AnswerFailure(request_id, status);
  session.Finish();
}

Status ServerCore::Admit(const Hello& hello, std::uint64_t epoch, ConnectionId connection) {
  Tick();
  DCN_ASSIGN_OR_RETURN(const JobDesk::Admission admission, job_.Admit(hello, epoch, connection));
  if (admission.starts_epoch) StartEpoch(connection);
  if (const auto replaced = sessions_.find(admission.replaces); replaced != sessions_.end()) {
    replaced->second->Close();
  }
  clock_.cancel();
  return Status();
}

// --- the job ----------------------------------------------------------------------------------

void ServerCore::StartEpoch(ConnectionId first_connection) {
  spdlog::log(options_.Loudness(spdlog::level::info), "job '{}': epoch {} starts, {} ranks",
              job_.job(), job_.epoch(), job_.ranks());
  for (const auto& shard : shards_) {
    shard->Post([job = job_.job(), epoch = job_.epoch(), ranks = job_.ranks()](ShardDesk& desk) {
      desk.StartEpoch(job, epoch, ranks);
    });
  }
  for (const auto& [id, session] : sessions_) {
    const bool is_earlier = session->is_welcome() && session->role() == Role::kWorker;
    // What it was told of its own epoch may be on the way still: that the job has ended, or why
    // not.
    if (is_earlier && id != first_connection) session->Finish();
  }
}

void ServerCore::BreakEpoch(const Status& status) {
  spdlog::log(options_.Loudness(spdlog::level::warn), "{}", status.message());
  for (const auto& shard : shards_) {
    shard->Post([epoch = job_.epoch(), status](ShardDesk& desk) { desk.Break(epoch, status); });
  }
  // Also those that ask for nothing now, such as ranks that wait for one another.
  for (const auto& [id, session] : sessions_) {
    const bool is_worker = session->is_welcome() && session->role() == Role::kWorker;
    if (is_worker) session->AnswerFailure(kUnasked, status);
  }
}

void ServerCore::EndEpoch() {
  spdlog::log(options_.Loudness(spdlog::level::info),
              "job '{}': epoch {} is over, its tables are dropped", job_.job(), job_.epoch());
  for (const auto& shard : shards_) {
    shard->Post([](ShardDesk& desk) { desk.EndEpoch(); });
  }
}

Result<ConnectionId> ServerCore::ConnectLocal(const Hello& hello, std::uint64_t epoch) {
  DCN_RETURN_IF_ERROR(refusal_);
  const ConnectionId id = ++last_connection_;
  DCN_RETURN_IF_ERROR(Admit(hello, epoch, id));
  return id;
}

void ServerCore::DisconnectLocal(ConnectionId connection) {
  job_.OnDisconnected(connection, Clock::now());
  clock_.cancel();
}

Status ServerCore::EndJob(ConnectionId connection) {
  Tick();
  if (job_.is_held() && job_.is_broken()) return job_.broken();
  if (job_.End(connection)) EndEpoch();
  clock_.cancel();
  return Status();
}

bool ServerCore::is_job_held() {
  Tick();
  return job_.is_held();
}

// --- requests ---------------------------------------------------------------------------------

bool ServerCore::AnswerCommon(ServerSession& session, const net::FrameHeader& header,
                              const Body& body) {
  const auto type = static_cast<MessageType>(header.type);
  if (type != MessageType::kPing && type != MessageType::kQueryStatus) return false;
  if (!DecodeEmpty(type, body).ok()) {
    OnRefused(session, Refusal::kMessage);
    return true;
  }
  if (type == MessageType::kPing) {
    session.Answer(header.request_id, MessageType::kPong, nullptr);
    return true;
  }
  CollectStatus(
      [session = session.weak_from_this(), id = header.request_id](const std::string& text) {
        const auto alive = session.lock();
        if (alive == nullptr) return;
        auto status = std::make_shared<Body>();
        EncodeText(text, *status);
        alive->Answer(id, MessageType::kStatus, std::move(status));
      });
  return true;
}

void ServerCore::OnObserverFrame(ServerSession& session, const net::FrameHeader& header,
                                 const Body& body) {
  if (!AnswerCommon(session, header, body)) OnRefused(session, Refusal::kUnexpectedType);
}

void ServerCore::OnWorkerFrame(ServerSession& session, const net::FrameHeader& header,
                               std::shared_ptr<Body>& body) {
  if (header.type != static_cast<std::uint16_t>(MessageType::kPing)) ++counters_.requests;
  const std::uint64_t id = header.request_id;
  if (header.job_epoch != session.sender().epoch) {
    session.AnswerFailure(
        id, Error(StatusCode::kUnavailable, "a message of epoch {} on a connection of epoch {}",
                  header.job_epoch, session.sender().epoch));
    return;
  }
  if (AnswerCommon(session, header, *body)) return;
  const auto type = static_cast<MessageType>(header.type);
  if (type == MessageType::kEndJob) {
    OnEndJob(session, header, *body);
  } else if (const Status posted = poster_.Post(session, type, id, std::move(body)); !posted.ok()) {
    const bool is_known = posted.code() != StatusCode::kOutOfRange;
    OnRefused(session, is_known ? Refusal::kMessage : Refusal::kUnexpectedType);
  }
}

void ServerCore::OnEndJob(ServerSession& session, const net::FrameHeader& header,
                          const Body& body) {
  if (!DecodeEmpty(MessageType::kEndJob, body).ok()) {
    OnRefused(session, Refusal::kMessage);
    return;
  }
  const Status status = EndJob(session.id());
  if (!status.ok()) {
    session.AnswerFailure(header.request_id, status);
    return;
  }
  session.Answer(header.request_id, MessageType::kDone, nullptr);
}

// --- time and end -----------------------------------------------------------------------------

void ServerCore::Tick() {
  const TimePoint now = Clock::now();
  if (now >= next_look_) FeelPulses(now);
  const JobDesk::Expiry expiry = job_.Expire(now);
  if (expiry.broken) BreakEpoch(*expiry.broken);
  if (expiry.has_ended) EndEpoch();
  while (!hello_deadlines_.empty() && hello_deadlines_.front().first <= now) {
    const auto found = sessions_.find(hello_deadlines_.front().second);
    hello_deadlines_.pop_front();
    if (found != sessions_.end() && !found->second->is_welcome()) {
      OnRefused(*found->second, Refusal::kNoHello);
    }
  }
}

void ServerCore::FeelPulses(TimePoint now) {
  next_look_ = TimePoint::max();
  for (const auto& [id, session] : sessions_) {
    if (!session->FeelPulse(now)) {
      job_.OnSilent(id, options_.heartbeat.silence, now);
      OnRefused(*session, Refusal::kSilent);
    }
    next_look_ = std::min(next_look_, session->next_look());
  }
}

ServerCore::TimePoint ServerCore::next_deadline() const {
  TimePoint next = next_look_;
  if (!hello_deadlines_.empty()) next = std::min(next, hello_deadlines_.front().first);
  if (const auto deadline = job_.next_deadline()) next = std::min(next, *deadline);
  return next;
}

asio::awaitable<void> ServerCore::AsyncKeepTime() {
  boost::system::error_code cancelled;
  while (!is_stopping_) {
    Tick();
    clock_.expires_at(next_deadline());
    co_await clock_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
  }
}

void ServerCore::Fail(const Status& failure) {
  refusal_ = failure;
  for (const auto& [id, session] : sessions_) session->Close();
}

void ServerCore::Stop(TimePoint deadline, std::function<void(const Status&)> done) {
  stop_tasks_.Start("stop", AsyncStop(deadline, std::move(done)));
}

asio::awaitable<void> ServerCore::AsyncStop(TimePoint deadline,
                                            std::function<void(const Status&)> done) {
  is_stopping_ = true;
  refusal_ = Status(StatusCode::kUnavailable, "the server is stopping");
  listener_.Close();
  clock_.cancel();
  if (const auto broken = job_.Stop()) BreakEpoch(*broken);
  for (const auto& [id, session] : sessions_) session->Finish();  // what is owed comes first
  Status status = co_await tasks_.AsyncClose(deadline);
  if (!status.ok()) {
    for (const auto& [id, session] : sessions_) session->Close();
    (void)co_await tasks_.AsyncClose(Clock::now() + std::chrono::seconds(1));
  }
  done(status);
}

// --- status
// ---------------------------------------------------------------------------------------

std::vector<ServerStatus::QuietRank> ServerCore::QuietRanks() const {
  const TimePoint now = Clock::now();
  std::vector<ServerStatus::QuietRank> quiet;
  for (const auto& [id, session] : sessions_) {
    const auto silence = now - session->connection().received_at();
    const bool is_worker = session->is_welcome() && session->role() == Role::kWorker;
    if (!is_worker || silence < 2 * options_.heartbeat.interval) continue;
    quiet.push_back({session->sender().rank, std::chrono::duration<double>(silence).count()});
  }
  std::ranges::sort(quiet, std::greater(), &ServerStatus::QuietRank::seconds);
  if (quiet.size() > kMaxQuietRanks) quiet.resize(kMaxQuietRanks);
  return quiet;
}

ServerStatus ServerCore::StatusWithoutShards() const {
  ServerStatus status;
  status.address = listener_.address().ToString();
  status.incarnation = options_.incarnation;
  status.uptime_seconds = std::chrono::duration<double>(Clock::now() - started_).count();
  status.job = job_.job();
  status.epoch = job_.epoch();
  status.ranks = job_.ranks();
  status.connected = job_.connected();
  status.ended = job_.ended();
  status.is_held = job_.is_held();
  status.broken = job_.broken().message();
  status.quiet = QuietRanks();
  status.counters = counters_;
  status.counters.connections_open = sessions_.size();
  for (const auto& [id, session] : sessions_) {
    status.counters.bytes_received += session->connection().bytes_received();
    status.counters.bytes_sent += session->connection().bytes_sent();
  }
  return status;
}

void ServerCore::CollectStatus(std::function<void(std::string text)> use) {
  // Filled in by the shards' answers, each on the I/O thread; the last one shows it to `use`.
  struct Collection {
    ServerStatus status;
    std::size_t missing = 0;
    std::function<void(std::string text)> use;
  };
  Tick();
  const auto collection = std::make_shared<Collection>();
  collection->status = StatusWithoutShards();
  collection->status.shards.resize(shards_.size());
  collection->missing = shards_.size();
  collection->use = std::move(use);
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    shards_[i]->Post([executor = executor_, collection, i](ShardDesk& desk) {
      asio::post(executor, [collection, i, counts = desk.counts()] {
        collection->status.shards[i] = counts;
        if (--collection->missing == 0) collection->use(ToJsonText(collection->status));
      });
    });
  }
}

}  // namespace dcn::ps
