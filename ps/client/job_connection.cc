#include "ps/client/job_connection.h"

#include <algorithm>
#include <utility>

#include "common/check.h"
#include "common/net/address.h"
#include "ps/client/answer_box.h"
#include "ps/client/connection_set.h"
#include "ps/client/remote_shard.h"
#include "ps/message.h"

namespace dcn::ps {
namespace {

using Clock = std::chrono::steady_clock;
using Addresses = std::vector<std::vector<net::Address>>;  // by server
using Welcomes = std::vector<std::optional<Welcome>>;      // by server; none: the local one

// The I/O thread ends everything by its deadline; only where it is stuck does this run out.
constexpr std::chrono::seconds kBeyondDeadline{5};

Status CheckOptions(const JobConnectionOptions& options) {
  DCN_RETURN_IF_ERROR(CheckJobName(options.job));
  if (options.token.size() <= kMaxTokenBytes) return Status();
  return Error(StatusCode::kInvalidArgument, "the token has {} bytes, at most {} are possible",
               options.token.size(), kMaxTokenBytes);
}

Result<Addresses> ParseAddresses(const std::vector<ServerPlace>& servers) {
  Addresses addresses;
  for (const ServerPlace& server : servers) {
    addresses.emplace_back();
    for (const std::string& text : server.addresses) {
      DCN_ASSIGN_OR_RETURN(net::Address address, net::ParseAddress(text));
      addresses.back().push_back(std::move(address));
    }
    if (!addresses.back().empty()) continue;
    return Error(StatusCode::kInvalidArgument, "server {} has no address", addresses.size() - 1);
  }
  return addresses;
}

}  // namespace

class JobConnection::Impl {
 public:
  Impl(JobConnectionOptions options, Addresses addresses)
      : options_(std::move(options)), addresses_(std::move(addresses)) {}

  [[nodiscard]] std::unique_ptr<ConnectionSet> Open(const Hello& hello, std::uint64_t epoch) const {
    std::vector<std::optional<ServerConnection::Options>> servers(addresses_.size());
    for (std::size_t server = 0; server < servers.size(); ++server) {
      if (server == options_.local_server) continue;
      servers[server] = {.addresses = addresses_[server],
                         .hello = hello,
                         .epoch = epoch,
                         .incarnation = options_.servers[server].incarnation,
                         .is_only_server = servers.size() == 1,
                         .connect_timeout = options_.connect_timeout,
                         .reconnect_timeout = options_.reconnect_timeout,
                         .refused_timeout = options_.refused_timeout,
                         .heartbeat = options_.heartbeat};
    }
    return std::make_unique<ConnectionSet>(std::move(servers));
  }

  [[nodiscard]] Result<Welcomes> AwaitWelcomes(ConnectionSet& connections) const {
    DCN_ASSIGN_OR_RETURN(
        Welcomes welcomes,
        connections.AwaitWelcomes(Clock::now() + options_.connect_timeout + kBeyondDeadline));
    DCN_RETURN_IF_ERROR(CheckDistinct(welcomes));
    return welcomes;
  }

  // One server under two names would hold two shards' rows in one.
  [[nodiscard]] Status CheckDistinct(const Welcomes& welcomes) const {
    for (std::size_t i = 0; i < welcomes.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        if (!welcomes[i] || !welcomes[j]) continue;
        if (welcomes[i]->incarnation != welcomes[j]->incarnation) continue;
        return Error(StatusCode::kInvalidArgument,
                     "{} and {} are one server; name each server once",
                     options_.servers[j].addresses[0], options_.servers[i].addresses[0]);
      }
    }
    return Status();
  }

  Result<std::uint64_t> QueryLastEpoch() const {
    const Hello hello = {.role = Role::kObserver, .job = {}, .token = options_.token};
    const std::unique_ptr<ConnectionSet> observers = Open(hello, 0);
    DCN_ASSIGN_OR_RETURN(const Welcomes welcomes, AwaitWelcomes(*observers));
    std::uint64_t last = 0;
    for (const auto& welcome : welcomes) {
      if (welcome) last = std::max(last, welcome->last_epoch);
    }
    return last;
  }

  Status Connect(std::uint64_t epoch, std::uint64_t run) {
    DCN_CHECK(connections_ == nullptr);
    connections_ = Open({.role = Role::kWorker,
                         .rank = options_.rank,
                         .ranks = options_.ranks,
                         .job = options_.job,
                         .token = options_.token,
                         .run = run},
                        epoch);
    DCN_ASSIGN_OR_RETURN(welcomes_, AwaitWelcomes(*connections_));
    return Status();
  }

  [[nodiscard]] std::uint32_t shards(std::size_t server) const {
    DCN_CHECK_LT(server, welcomes_.size());
    return welcomes_[server] ? welcomes_[server]->shards : 0;
  }

  std::vector<std::unique_ptr<ShardClient>> MakeShards(std::size_t server) {
    std::vector<std::unique_ptr<ShardClient>> made;
    for (std::uint32_t shard = 0; shard < shards(server); ++shard) {
      ServerConnection& connection = *connections_->at(server);
      made.push_back(std::make_unique<RemoteShard>(connection, connection.name(), shard,
                                                   options_.request_timeout));
    }
    return made;
  }

  Status EndJob() {
    DCN_CHECK(connections_ != nullptr);
    const auto deadline = Clock::now() + options_.request_timeout;
    std::vector<std::unique_ptr<AnswerBox>> answers;
    for (std::size_t server = 0; server < connections_->size(); ++server) {
      if (connections_->at(server) == nullptr) continue;
      answers.push_back(std::make_unique<AnswerBox>());
      connections_->at(server)->Send({.type = MessageType::kEndJob,
                                      .answer = MessageType::kDone,
                                      .description = "end of the job",
                                      .body = std::make_shared<const Body>(),
                                      .deadline = deadline,
                                      .on_answer = answers.back()->Expect({})});
    }
    Status first;
    for (const auto& answer : answers) {
      const Status status = answer->Wait(deadline + kBeyondDeadline);
      if (first.ok()) first = status;
    }
    connections_->Close();
    return first;
  }

  [[nodiscard]] Status failure() const {
    for (std::size_t server = 0; connections_ && server < connections_->size(); ++server) {
      const ServerConnection* const connection = connections_->at(server);
      if (connection != nullptr) DCN_RETURN_IF_ERROR(connection->end());
    }
    return Status();
  }

  [[nodiscard]] Traffic traffic() const {
    Traffic traffic;
    for (std::size_t server = 0; connections_ && server < connections_->size(); ++server) {
      const ServerConnection* const connection = connections_->at(server);
      if (connection == nullptr) continue;
      traffic.bytes_sent += connection->bytes_sent();
      traffic.bytes_received += connection->bytes_received();
      traffic.reconnects += connection->reconnects();
    }
    return traffic;
  }

  Result<std::size_t> CountPending() {
    if (connections_ == nullptr) return std::size_t{0};
    return connections_->CountPending();
  }

 private:
  const JobConnectionOptions options_;
  const Addresses addresses_;
  std::unique_ptr<ConnectionSet> connections_;
  Welcomes welcomes_;
};

Result<std::unique_ptr<JobConnection>> JobConnection::Create(JobConnectionOptions options) {
  DCN_RETURN_IF_ERROR(CheckOptions(options));
  DCN_ASSIGN_OR_RETURN(Addresses addresses, ParseAddresses(options.servers));
  auto impl = std::make_unique<Impl>(std::move(options), std::move(addresses));
  return std::unique_ptr<JobConnection>(new JobConnection(std::move(impl)));
}

JobConnection::JobConnection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
JobConnection::~JobConnection() = default;

Result<std::uint64_t> JobConnection::QueryLastEpoch() { return impl_->QueryLastEpoch(); }
Status JobConnection::Connect(std::uint64_t epoch, std::uint64_t run) {
  return impl_->Connect(epoch, run);
}
std::uint32_t JobConnection::shards(std::size_t server) const { return impl_->shards(server); }
std::vector<std::unique_ptr<ShardClient>> JobConnection::MakeShards(std::size_t server) {
  return impl_->MakeShards(server);
}
Status JobConnection::EndJob() { return impl_->EndJob(); }
Status JobConnection::failure() const { return impl_->failure(); }
Traffic JobConnection::traffic() const { return impl_->traffic(); }
Result<std::size_t> JobConnection::CountPending() { return impl_->CountPending(); }

}  // namespace dcn::ps
