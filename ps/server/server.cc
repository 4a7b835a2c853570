#include "ps/server/server.h"

#include <future>
#include <mutex>
#include <random>
#include <utility>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <spdlog/spdlog.h>

#include "common/check.h"
#include "common/named_thread.h"
#include "common/net/address.h"
#include "common/net/listener.h"
#include "common/net/run_loop.h"
#include "ps/server/server_core.h"
#include "ps/server/shard_thread.h"

namespace dcn::ps {
namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;

// The I/O thread answers at once; only where it has died does this run out.
constexpr std::chrono::seconds kCallTimeout{10};

std::uint64_t DrawIncarnation() {
  std::random_device device;
  std::uint64_t incarnation = 0;
  while (incarnation == 0) {
    incarnation = (std::uint64_t{device()} << 32U) | device();
  }
  return incarnation;
}

Status CheckOptions(const ServerOptions& options, const net::Address& address) {
  if (options.token.size() > kMaxTokenBytes) {
    return Error(StatusCode::kInvalidArgument, "the token has {} bytes, at most {} are possible",
                 options.token.size(), kMaxTokenBytes);
  }
  if (!options.token.empty() || options.is_insecure) return Status();
  DCN_ASSIGN_OR_RETURN(const bool is_loopback, net::IsLoopback(address));
  if (is_loopback) return Status();
  return Error(StatusCode::kInvalidArgument,
               "{} can be reached from other machines: give a token file (--token-file), or "
               "--insecure where everybody who can reach it may use it",
               address.ToString());
}

// Status and Result as what the I/O thread answers, beside whether it answers.
template <typename T>
struct Answer {
  T value;
};

}  // namespace

class Server::Impl {
 public:
  Impl(const ServerOptions& options, net::Address address)
      : shard_count_(options.shards),
        address_(std::move(address)),
        incarnation_(DrawIncarnation()),
        work_(asio::make_work_guard(io_)) {}

  ~Impl() {
    if (!is_stopped_) (void)Stop(Clock::now());
  }

  Status Start(const ServerOptions& options) {
    DCN_ASSIGN_OR_RETURN(net::Listener listener, net::Listener::Open(io_.get_executor(), address_));
    address_ = listener.address();
    for (std::uint32_t shard = 0; shard < shard_count_; ++shard) {
      shards_.push_back(std::make_unique<ShardThread>(shard, [this, shard](std::string_view what) {
        OnException(fmt::format("shard {}", shard), what);
      }));
      shards_.back()->Post(
          [root = options.checkpoint_root](ShardDesk& desk) { desk.SetCheckpointRoot(root); });
    }
    core_ = std::make_unique<ServerCore>(
        ServerCore::Options{
            .incarnation = incarnation_,
            .token = options.token,
            .job = {.reconnect_grace = options.reconnect_grace, .lease = options.lease},
            .hello_timeout = options.hello_timeout,
            .heartbeat = options.heartbeat,
            .is_hosted = options.is_hosted},
        std::move(listener), shards_,
        [this](std::string_view task, std::string_view what) { OnException(task, what); });
    core_->Start();
    const auto on_exception = [this](std::string_view what) {
      OnException("the I/O thread", what);
    };
    thread_ = std::make_unique<NamedThread>(
        "dcn-server-io", [this, on_exception] { net::RunLoop(io_, on_exception); }, on_exception);
    return Status();
  }

  [[nodiscard]] const net::Address& address() const { return address_; }
  [[nodiscard]] std::uint64_t incarnation() const { return incarnation_; }
  [[nodiscard]] std::uint32_t shard_count() const { return shard_count_; }

  Status failure() {
    const std::lock_guard lock(failure_mutex_);
    return failure_;
  }

  // Calls call(core, set) on the I/O thread, which calls set(T) then or later, and waits for that.
  template <typename T, typename Call>
  Result<Answer<T>> Ask(TimePoint deadline, Call call) {
    DCN_RETURN_IF_ERROR(failure());
    const auto promise = std::make_shared<std::promise<Answer<T>>>();
    std::future<Answer<T>> future = promise->get_future();
    asio::post(io_, [this, call = std::move(call), promise] {
      call(*core_, [promise](T value) { promise->set_value({std::move(value)}); });
    });
    if (future.wait_until(deadline) != std::future_status::ready) {
      DCN_RETURN_IF_ERROR(failure());
      return Error(StatusCode::kDeadlineExceeded, "the server at {} does not answer",
                   address_.ToString());
    }
    try {
      return future.get();
    } catch (const std::future_error&) {  // an exception has left the call: OnException says which
      return Error(StatusCode::kInternal, "internal error in the server at {}: it gave no answer",
                   address_.ToString());
    }
  }

  template <typename T, typename Call>
  Result<T> AskPlainly(Call call) {
    DCN_ASSIGN_OR_RETURN(auto answer, Ask<T>(Clock::now() + kCallTimeout, std::move(call)));
    return std::move(answer.value);
  }

  Result<std::unique_ptr<HostedRank>> ConnectLocal(const Hello& hello, std::uint64_t epoch) {
    DCN_ASSIGN_OR_RETURN(const auto answer,
                         Ask<Result<ConnectionId>>(Clock::now() + kCallTimeout,
                                                   [hello, epoch](ServerCore& core, auto set) {
                                                     set(core.ConnectLocal(hello, epoch));
                                                   }));
    DCN_ASSIGN_OR_RETURN(const ConnectionId id, answer.value);
    std::vector<ShardThread*> shards;
    for (const auto& shard : shards_) shards.push_back(shard.get());
    HostedRank::Hooks hooks;
    hooks.end = [this, connection = id](TimePoint deadline) -> Status {
      DCN_ASSIGN_OR_RETURN(const auto ended,
                           Ask<Status>(deadline, [connection](ServerCore& core, auto set) {
                             set(core.EndJob(connection));
                           }));
      return ended.value;
    };
    hooks.disconnect = [this, connection = id] {
      asio::post(io_, [this, connection] { core_->DisconnectLocal(connection); });
    };
    return std::make_unique<HostedRank>(Sender{.epoch = epoch, .rank = hello.rank},
                                        std::move(shards), std::move(hooks));
  }

  Status Stop(TimePoint deadline) {
    if (is_stopped_) return Status();
    is_stopped_ = true;
    Status status;
    if (thread_ != nullptr) {
      // One second more than the core takes where connections do not end by the deadline.
      const auto stopped =
          Ask<Status>(deadline + std::chrono::seconds(2),
                      [deadline](ServerCore& core, auto set) { core.Stop(deadline, set); });
      status = stopped.ok() ? stopped->value : stopped.status();
    }
    io_.stop();
    thread_.reset();
    shards_.clear();
    core_.reset();
    (void)SetFailure(Status(StatusCode::kUnavailable, "the server was stopped"));
    return status;
  }

 private:
  // A bug: said so, and everything refused, so that nobody waits for what will not come.
  void OnException(std::string_view where, std::string_view what) {
    const Status failure =
        Error(StatusCode::kInternal, "internal error in {} of the server at {}: {}", where,
              address_.ToString(), what);
    spdlog::critical("{}", failure.message());
    const bool is_first = SetFailure(failure);
    if (is_first) asio::post(io_, [this, failure] { core_->Fail(failure); });
  }

  // False: there is one already, which stays.
  bool SetFailure(const Status& failure) {
    const std::lock_guard lock(failure_mutex_);
    if (!failure_.ok()) return false;
    failure_ = failure;
    return true;
  }

  const std::uint32_t shard_count_;
  net::Address address_;
  const std::uint64_t incarnation_;
  std::mutex failure_mutex_;
  Status failure_;  // guarded by failure_mutex_
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::vector<std::unique_ptr<ShardThread>> shards_;
  std::unique_ptr<ServerCore> core_;
  std::unique_ptr<NamedThread> thread_;  // runs io_
  bool is_stopped_ = false;
};

Result<std::unique_ptr<Server>> Server::Start(const ServerOptions& options) {
  DCN_CHECK_GE(options.shards, 1U);
  DCN_ASSIGN_OR_RETURN(const net::Address address, net::ParseAddress(options.listen));
  DCN_RETURN_IF_ERROR(CheckOptions(options, address));
  auto impl = std::make_unique<Impl>(options, address);
  DCN_RETURN_IF_ERROR(impl->Start(options));
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

const std::string& Server::host() const { return impl_->address().host; }
std::uint16_t Server::port() const { return impl_->address().port; }
std::string Server::address() const { return impl_->address().ToString(); }
std::uint64_t Server::incarnation() const { return impl_->incarnation(); }
std::uint32_t Server::shards() const { return impl_->shard_count(); }
Status Server::failure() const { return impl_->failure(); }
Status Server::Stop(TimePoint deadline) { return impl_->Stop(deadline); }

Result<std::unique_ptr<HostedRank>> Server::ConnectLocal(const Hello& hello, std::uint64_t epoch) {
  return impl_->ConnectLocal(hello, epoch);
}

Result<bool> Server::IsJobHeld() {
  return impl_->AskPlainly<bool>([](ServerCore& core, auto set) { set(core.is_job_held()); });
}

Result<std::string> Server::StatusText() {
  return impl_->AskPlainly<std::string>(
      [](ServerCore& core, auto set) { core.CollectStatus(set); });
}

}  // namespace dcn::ps
