#include "ps/client/connection_opener.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>
#include <variant>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <spdlog/spdlog.h>

#include "common/check.h"

namespace dcn::ps {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kFirstPause{10};
constexpr milliseconds kSilence{1500};  // before a log says what is waited for
constexpr milliseconds kLongestPause{500};
// An attempt at one address gets its share of the time that is left, within these.
constexpr milliseconds kShortestAttempt{1000};
constexpr milliseconds kLongestAttempt{5000};
// Hellos and what has a place in the requests' books already: no second bound is needed.
constexpr std::size_t kMaxQueuedBytes = std::numeric_limits<std::size_t>::max() / 2;

net::OutgoingFrame HelloFrame(const Hello& hello, std::uint64_t epoch) {
  auto body = std::make_shared<Body>();
  Encode(hello, *body);
  return net::MakeOutgoingFrame(
      {.type = static_cast<std::uint16_t>(MessageType::kHello), .job_epoch = epoch},
      std::move(body));
}

asio::awaitable<void> AsyncWrite(std::shared_ptr<net::Connection> connection) {
  co_await connection->AsyncWrite();
}

Status NotAServer(std::string_view what) {
  return Error(StatusCode::kUnavailable, "what listens there is no parameter server: {}", what);
}

// The system's codes that no waiting helps against stay with the others: a name server or a network
// may come up late, too.
Status ConnectError(const boost::system::error_code& error) {
  return Status(StatusCode::kUnavailable, error.message());
}

}  // namespace

ConnectionOpener::ConnectionOpener(asio::any_io_executor executor,
                                   std::vector<net::Address> addresses, net::TaskScope& tasks)
    : executor_(std::move(executor)),
      addresses_(std::move(addresses)),
      tasks_(tasks),
      socket_(executor_),
      resolver_(executor_),
      limit_(executor_),
      pause_(executor_) {
  DCN_CHECK(!addresses_.empty());
}

asio::awaitable<Result<OpenedConnection>> ConnectionOpener::AsyncOpen(Goal goal) {
  const TimePoint start = Clock::now();
  const TimePoint deadline = start + goal.timeout;
  bool has_told = goal.is_return;  // what is gone for a moment is nobody's business
  milliseconds pause = kFirstPause;
  std::optional<TimePoint> nobody_since;
  Status reason;  // of the last setback that has one to tell, unlike an answer that did not come
  while (true) {
    Attempt attempt = co_await AsyncTryAll(goal, deadline);
    if (is_cancelled_) co_return Status(StatusCode::kCancelled, "closed by this process");
    if (auto* opened = std::get_if<OpenedConnection>(&attempt)) co_return std::move(*opened);
    const Setback& setback = std::get<Setback>(attempt);
    if (setback.is_final) co_return setback.status;
    const bool is_mute = setback.status.code() == StatusCode::kDeadlineExceeded;
    if (reason.ok() || !is_mute) reason = setback.status;
    const auto left = deadline - Clock::now();
    if (!has_told && Clock::now() - start > kSilence) {
      has_told = true;
      spdlog::info("waiting for server {}, {:.0f} s more: {}", addresses_[0].ToString(),
                   std::chrono::duration<double>(left).count(), reason.message());
    }
    if (left < 2 * kFirstPause) {
      co_return Error(reason.code(), "no connection within {} ms: {}", goal.timeout.count(),
                      reason.message());
    }
    Clock::duration next_pause = std::min<Clock::duration>(pause, left / 2);
    if (goal.is_return && setback.is_nobody) {
      if (!nobody_since) nobody_since = Clock::now();
      const auto patience = *nobody_since + goal.refused_timeout - Clock::now();
      if (patience.count() <= 0) {
        co_return Error(reason.code(), "nobody has listened there for {} ms: {}",
                        goal.refused_timeout.count(), reason.message());
      }
      next_pause = std::min<Clock::duration>(next_pause, patience);
    } else {
      nobody_since.reset();
    }
    pause_.expires_after(next_pause);
    boost::system::error_code cancelled;
    co_await pause_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
    pause = std::min(2 * pause, kLongestPause);
  }
}

asio::awaitable<ConnectionOpener::Attempt> ConnectionOpener::AsyncTryAll(const Goal& goal,
                                                                         TimePoint deadline) {
  std::vector<tcp::endpoint> endpoints;
  Setback setback;
  setback.status = co_await AsyncResolve(endpoints);
  const auto home = std::ranges::find_if(endpoints, [&](const auto& e) { return e == home_; });
  if (goal.is_return && home != endpoints.end()) {
    std::rotate(endpoints.begin(), home, std::next(home));
  }
  bool has_stranger = false;
  for (std::size_t i = 0; i < endpoints.size() && !is_cancelled_; ++i) {
    const auto now = Clock::now();
    const auto share = std::chrono::floor<milliseconds>(deadline - now) /
                       static_cast<std::int64_t>(endpoints.size() - i);
    const auto limit = now + std::clamp(share, kShortestAttempt, kLongestAttempt);
    Attempt attempt = co_await AsyncTry(endpoints[i], goal, std::min(limit, deadline));
    if (std::holds_alternative<OpenedConnection>(attempt)) co_return attempt;
    Setback next = std::get<Setback>(std::move(attempt));
    // Where its system answers and nobody listens, the server cannot be at another address either.
    const bool is_gone = goal.is_return && next.is_nobody && endpoints[i] == home_;
    if (next.is_final || is_gone) co_return next;
    // The most telling one is kept: a stranger says more than an address where nobody is.
    if (!has_stranger) setback.status = next.status;
    has_stranger = has_stranger || next.is_stranger;
  }
  setback.is_final = has_stranger;
  co_return setback;
}

asio::awaitable<ConnectionOpener::Attempt> ConnectionOpener::AsyncTry(const tcp::endpoint& endpoint,
                                                                      const Goal& goal,
                                                                      TimePoint deadline) {
  if (goal.incarnation != 0 && goal.hello.role == Role::kWorker) {
    const Hello question = {.role = Role::kObserver, .job = {}, .token = goal.hello.token};
    Attempt attempt = co_await AsyncSayHello(endpoint, goal, question, 0, deadline);
    if (const auto* opened = std::get_if<OpenedConnection>(&attempt)) {
      opened->connection->Close();
    } else {
      co_return attempt;
    }
  }
  co_return co_await AsyncSayHello(endpoint, goal, goal.hello, goal.epoch, deadline);
}

asio::awaitable<ConnectionOpener::Attempt> ConnectionOpener::AsyncSayHello(
    const tcp::endpoint& endpoint, const Goal& goal, const Hello& hello, std::uint64_t epoch,
    TimePoint deadline) {
  if (is_cancelled_) co_return Setback{};
  Arm(deadline);
  const boost::system::error_code error = co_await AsyncConnect(endpoint);
  Attempt attempt = Setback{.status = {}, .is_nobody = error == asio::error::connection_refused};
  if (error) {
    std::get<Setback>(attempt).status = ConnectError(error);
  } else {
    connection_ = std::make_shared<net::Connection>(std::move(socket_), kMaxQueuedBytes);
    tasks_.Start("write to " + connection_->peer(), AsyncWrite(connection_));
    (void)connection_->Send(HelloFrame(hello, epoch));  // a closed one shows when it is read
    attempt = co_await AsyncTakeAnswer(goal);
    if (std::holds_alternative<OpenedConnection>(attempt)) {
      home_ = endpoint;
    } else {
      connection_->Close();
    }
    connection_.reset();
  }
  Disarm();
  if (auto* setback = std::get_if<Setback>(&attempt)) {
    if (is_overdue_) {
      setback->status =
          Status(StatusCode::kDeadlineExceeded, error ? "no answer" : "no answer to the hello");
    }
    const net::Address place = {endpoint.address().to_string(), endpoint.port()};
    setback->status =
        Error(setback->status.code(), "{} (at {})", setback->status.message(), place.ToString());
  }
  co_return attempt;
}

asio::awaitable<boost::system::error_code> ConnectionOpener::AsyncConnect(
    const tcp::endpoint& endpoint) {
  boost::system::error_code error;
  socket_ = tcp::socket(executor_);
  socket_.open(endpoint.protocol(), error);
  if (error) co_return error;
  co_await socket_.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return error;
  // Loopback connects a port to itself where nobody listens and the port was this end's choice.
  boost::system::error_code ignored;
  if (socket_.local_endpoint(ignored) == socket_.remote_endpoint(ignored)) {
    socket_.close(ignored);
    co_return asio::error::make_error_code(asio::error::connection_refused);
  }
  co_return error;
}

asio::awaitable<ConnectionOpener::Attempt> ConnectionOpener::AsyncTakeAnswer(const Goal& goal) {
  const std::shared_ptr<net::Connection> connection = connection_;
  Body body;
  const net::ReadResult read = co_await connection->AsyncRead(kMaxHelloBytes, body);
  if (const auto* end = std::get_if<Status>(&read)) co_return Setback{.status = *end};
  if (const auto* fault = std::get_if<net::FrameFault>(&read)) {
    const bool is_other_version = *fault == net::FrameFault::kVersion;
    co_return Setback{.status = NotAServer(net::FrameFaultText(*fault)),
                      .is_final = is_other_version};
  }
  const auto type = std::get<net::FrameHeader>(read).type;
  if (type == static_cast<std::uint16_t>(MessageType::kFailure)) {
    const Result<Failure> failure = DecodeFailure(body);
    if (!failure.ok()) co_return Setback{.status = NotAServer(failure.status().message())};
    const bool may_change = failure->code == StatusCode::kUnavailable && !goal.is_return;
    co_return Setback{.status = Status(failure->code, failure->text), .is_final = !may_change};
  }
  if (type != static_cast<std::uint16_t>(MessageType::kWelcome)) {
    co_return Setback{.status = NotAServer("a hello answered by " + MessageTypeName(type))};
  }
  const Result<Welcome> welcome = DecodeWelcome(body);
  if (!welcome.ok()) co_return Setback{.status = NotAServer(welcome.status().message())};
  if (goal.incarnation != 0 && welcome->incarnation != goal.incarnation) {
    co_return Setback{.status = Status(StatusCode::kUnavailable,
                                       "the server lost its memory (it was restarted), or another "
                                       "one has taken its address"),
                      .is_stranger = true};
  }
  co_return OpenedConnection{connection, *welcome};
}

asio::awaitable<Status> ConnectionOpener::AsyncResolve(std::vector<tcp::endpoint>& endpoints) {
  Status status(StatusCode::kUnavailable, "no address");
  for (const net::Address& address : addresses_) {
    boost::system::error_code error;
    const auto number = asio::ip::make_address(address.host, error);
    if (!error) {
      endpoints.emplace_back(number, address.port);
      continue;
    }
    const auto found = co_await resolver_.async_resolve(
        address.host, std::to_string(address.port), tcp::resolver::numeric_service,
        asio::redirect_error(asio::use_awaitable, error));
    if (error) {
      status = Error(StatusCode::kUnavailable, "cannot resolve the host of {}: {}",
                     address.ToString(), error.message());
    }
    for (const auto& entry : found) endpoints.push_back(entry.endpoint());
  }
  co_return status;
}

void ConnectionOpener::Arm(TimePoint deadline) {
  is_overdue_ = false;
  limit_.expires_at(deadline);
  limit_.async_wait([this, number = ++limit_number_](const boost::system::error_code& error) {
    if (error || number != limit_number_) return;
    is_overdue_ = true;
    Interrupt();
  });
}

void ConnectionOpener::Disarm() {
  ++limit_number_;
  limit_.cancel();
}

void ConnectionOpener::Interrupt() {
  boost::system::error_code ignored;
  socket_.close(ignored);
  if (connection_ != nullptr) connection_->Close();
}

void ConnectionOpener::Cancel() {
  is_cancelled_ = true;
  pause_.cancel();
  resolver_.cancel();
  Interrupt();
}

}  // namespace dcn::ps
