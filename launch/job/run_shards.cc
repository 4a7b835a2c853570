#include "launch/job/run_shards.h"

#include <algorithm>
#include <optional>
#include <random>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "common/net/address.h"
#include "common/net/interfaces.h"
#include "launch/job/exit_guard.h"
#include "launch/main/exit_code.h"
#include "ps/server/local_shard.h"
#include "ps/server/server.h"
#include "ps/server/shard.h"
#include "worker/communicator/collectives.h"

namespace dcn::job {
namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::json;

Status CreateTables(train::Shards& clients, std::span<const ps::TableDefinition> tables) {
  for (const auto& client : clients) DCN_RETURN_IF_ERROR(client->CreateTables(tables));
  return Status();
}

// How long ranks that are through with the shards may take to end the job, beyond their requests:
// tables are given back.
constexpr std::chrono::seconds kEndingTakes{30};
// How long the shards of this process may take to end.
constexpr std::chrono::seconds kStoppingTakes{60};

// One rank and its shards in one process: no server, no threads of theirs.
class LocalShards final : public RunShards {
 public:
  LocalShards(std::uint32_t count, std::uint64_t epoch) : epoch_(epoch) {
    for (std::uint32_t s = 0; s < count; ++s) {
      shards_.push_back(std::make_unique<ps::Shard>());
      clients_.push_back(std::make_unique<ps::LocalShard>(*shards_.back()));
    }
  }
  ~LocalShards() override {
    // All of them have the same second to end what they write.
    for (const auto& shard : shards_) shard->GiveUpSnapshot();
  }
  LocalShards(const LocalShards&) = delete;
  LocalShards& operator=(const LocalShards&) = delete;

  train::Shards& clients() override { return clients_; }
  [[nodiscard]] std::uint64_t epoch() const override { return epoch_; }
  [[nodiscard]] std::size_t servers() const override { return 1; }
  [[nodiscard]] ps::Traffic traffic() const override { return {}; }
  Status Close() override { return Status(); }

 private:
  const std::uint64_t epoch_;
  std::vector<std::unique_ptr<ps::Shard>> shards_;
  train::Shards clients_;
};

std::uint64_t DrawWord() {
  std::random_device device;
  return (std::uint64_t{device()} << 32U) | device();
}

// A secret that only this job's ranks know, so that nobody else's connection gets to their shards.
std::string DrawToken() { return fmt::format("{:016x}{:016x}", DrawWord(), DrawWord()); }

// Where a rank's server is, as the others learn it.
std::string PlaceText(const ps::ServerPlace& place) {
  return json{{"addresses", place.addresses}, {"incarnation", place.incarnation}}.dump();
}

Result<ps::ServerPlace> ParsePlace(std::string_view text) {
  try {
    const json place = json::parse(text);
    return ps::ServerPlace{.addresses = place.at("addresses").get<std::vector<std::string>>(),
                           .incarnation = place.at("incarnation").get<std::uint64_t>()};
  } catch (const json::exception& error) {
    return Error(StatusCode::kUnavailable, "a rank's server address makes no sense: {}",
                 error.what());
  }
}

// Shards behind servers: those of the ranks themselves, or dcn_ps processes.
class ServedShards final : public RunShards {
 public:
  ServedShards(const ShardOptions& options, JobRanks& ranks) : options_(options), ranks_(ranks) {}

  ~ServedShards() override {
    ranks_.SetWatch({});
    clients_.clear();  // before what they go through
    hosted_.reset();
    connection_.reset();
    if (server_ == nullptr) return;
    // The threads of its shards are waited for.
    const ExitGuard guard(kStoppingTakes,
                          fmt::format("rank {}: the shards of this process have not ended within "
                                      "{} s",
                                      ranks_.rank(), kStoppingTakes.count()),
                          launch::kExitLostPeer);
    server_.reset();
  }

  Status Open(std::span<const ps::TableDefinition> tables, std::span<const Host> hosts) {
    // Another rank may wait for a server to come up first.
    ranks_.SetTimeout(options_.connect_timeout + options_.request_timeout);
    ps::JobConnectionOptions connection = {.servers = {},
                                           .local_server = std::nullopt,
                                           .job = options_.job,
                                           .rank = static_cast<std::uint32_t>(ranks_.rank()),
                                           .ranks = static_cast<std::uint32_t>(ranks_.size()),
                                           .token = options_.token,
                                           .connect_timeout = options_.connect_timeout,
                                           .request_timeout = options_.request_timeout};
    if (options_.servers.empty()) {
      DCN_RETURN_IF_ERROR(StartServer(hosts, connection));
    } else {
      for (const std::string& address : options_.servers) {
        connection.servers.push_back({.addresses = {address}, .incarnation = 0});
      }
    }
    DCN_RETURN_IF_ERROR(Connect(std::move(connection)));
    DCN_RETURN_IF_ERROR(CreateTables(clients_, tables));
    // From here on all ranks are there.
    DCN_RETURN_IF_ERROR(comm::Barrier(ranks_.communicator(), "creating the tables"));
    ranks_.SetTimeout(options_.request_timeout);
    return Status();
  }

  train::Shards& clients() override { return clients_; }
  [[nodiscard]] std::uint64_t epoch() const override { return epoch_; }
  [[nodiscard]] std::size_t servers() const override { return servers_; }
  [[nodiscard]] ps::Traffic traffic() const override { return connection_->traffic(); }

  Status Close() override {
    // Rank 0 may be reading all rows. Whether it still does shows by the heartbeats: the watch ends
    // this wait long before.
    ranks_.SetTimeout(kPatience);
    DCN_RETURN_IF_ERROR(comm::Barrier(ranks_.communicator(), "waiting for the last use of shards"));
    // From here on nobody watches, and no rank has much to do but to end the job, here and there.
    ranks_.SetTimeout(2 * options_.request_timeout + kEndingTakes);
    clients_.clear();
    ranks_.SetWatch({});
    WarnOf(connection_->EndJob());
    if (hosted_) WarnOf(hosted_->EndJob(Clock::now() + options_.request_timeout));
    return comm::Barrier(ranks_.communicator(), "ending the job");
  }

 private:
  // All is trained and read: a server that is lost now costs nobody anything.
  static void WarnOf(const Status& end) {
    if (!end.ok()) spdlog::warn("the job's end was not heard by all servers: {}", end.message());
  }

  // Every rank starts one, and learns where the others' are.
  Status StartServer(std::span<const Host> hosts, ps::JobConnectionOptions& connection) {
    DCN_ASSIGN_OR_RETURN(connection.token, comm::BroadcastText(ranks_.communicator(), DrawToken(),
                                                               "sharing the job's token"));
    std::vector<std::string> numbers = {"127.0.0.1"};
    std::string listen = "127.0.0.1";
    if (!IsOneNetwork(hosts)) {
      DCN_ASSIGN_OR_RETURN(numbers, net::InterfaceAddresses());
      if (numbers.empty()) {
        return Error(StatusCode::kUnavailable,
                     "rank {} is on another host than other ranks, and has no network interface",
                     ranks_.rank());
      }
      const bool is_ipv4 = numbers.front().find(':') == std::string::npos;
      listen = is_ipv4 ? "0.0.0.0" : "::";
      if (is_ipv4) std::erase_if(numbers, [](const auto& n) { return n.find(':') != n.npos; });
    }
    DCN_ASSIGN_OR_RETURN(server_, ps::Server::Start({.listen = net::Address{listen, 0}.ToString(),
                                                     .shards = options_.shards,
                                                     .token = connection.token,
                                                     .checkpoint_root = "/",  // as the process
                                                     .is_hosted = true}));
    ps::ServerPlace own = {.addresses = {}, .incarnation = server_->incarnation()};
    for (const std::string& number : numbers) {
      own.addresses.push_back(net::Address{number, server_->port()}.ToString());
    }
    DCN_ASSIGN_OR_RETURN(const std::vector<std::string> places,
                         comm::AllGatherText(ranks_.communicator(), PlaceText(own),
                                             "sharing the servers' addresses"));
    for (const std::string& text : places) {
      DCN_ASSIGN_OR_RETURN(ps::ServerPlace place, ParsePlace(text));
      connection.servers.push_back(std::move(place));
    }
    connection.local_server = static_cast<std::size_t>(ranks_.rank());
    return Status();
  }

  Status Connect(ps::JobConnectionOptions options) {
    servers_ = options.servers.size();
    const auto local = options.local_server;
    ps::Hello hello = {.role = ps::Role::kWorker,
                       .rank = options.rank,
                       .ranks = options.ranks,
                       .job = options.job,
                       .token = {}};
    DCN_ASSIGN_OR_RETURN(connection_, ps::JobConnection::Create(std::move(options)));
    DCN_ASSIGN_OR_RETURN(const Life life, ChooseLife());
    epoch_ = life.epoch;
    DCN_RETURN_IF_ERROR(connection_->Connect(life.epoch, life.run));
    ranks_.SetWatch([this] { return connection_->failure(); });
    if (server_) {
      hello.run = life.run;
      DCN_ASSIGN_OR_RETURN(hosted_, server_->ConnectLocal(hello, life.epoch));
    }
    for (std::size_t server = 0; server < servers_; ++server) {
      if (server == local) {
        for (std::uint32_t shard = 0; shard < hosted_->shards(); ++shard) {
          clients_.push_back(hosted_->MakeShard(shard, options_.request_timeout));
        }
        continue;
      }
      for (auto& shard : connection_->MakeShards(server)) clients_.push_back(std::move(shard));
    }
    return Status();
  }

  // What tells this life of the job from all others, the same on every rank.
  struct Life {
    std::uint64_t epoch = 0;  // above all that a server has seen
    std::uint64_t run = 0;    // should another run choose the same epoch
  };
  Result<Life> ChooseLife() {
    std::string text;
    if (ranks_.is_first()) {
      std::uint64_t last = 0;  // the ranks' own servers are as new as the job
      if (!server_) {
        DCN_ASSIGN_OR_RETURN(last, connection_->QueryLastEpoch());
      }
      DCN_ASSIGN_OR_RETURN(const std::uint64_t epoch, options_.raise_epoch(last));
      text = json{{"epoch", epoch}, {"run", DrawWord()}}.dump();
    }
    DCN_ASSIGN_OR_RETURN(
        text, comm::BroadcastText(ranks_.communicator(), text, "sharing the job's epoch"));
    try {
      const json life = json::parse(text);
      return Life{.epoch = life.at("epoch").get<std::uint64_t>(),
                  .run = life.at("run").get<std::uint64_t>()};
    } catch (const json::exception& error) {
      return Error(StatusCode::kUnavailable, "the job's epoch makes no sense: {}", error.what());
    }
  }

  const ShardOptions options_;
  JobRanks& ranks_;
  std::size_t servers_ = 0;
  std::uint64_t epoch_ = 0;
  std::unique_ptr<ps::Server> server_;  // of this process, if any
  std::unique_ptr<ps::JobConnection> connection_;
  std::unique_ptr<ps::HostedRank> hosted_;  // with server_
  train::Shards clients_;
};

}  // namespace

Result<std::unique_ptr<RunShards>> RunShards::Open(const ShardOptions& options,
                                                   std::span<const ps::TableDefinition> tables,
                                                   std::span<const Host> hosts, JobRanks& ranks) {
  if (ranks.size() == 1 && options.servers.empty()) {
    DCN_ASSIGN_OR_RETURN(const std::uint64_t epoch, options.raise_epoch(0));
    auto local = std::make_unique<LocalShards>(options.shards, epoch);
    DCN_RETURN_IF_ERROR(CreateTables(local->clients(), tables));
    return std::unique_ptr<RunShards>(std::move(local));
  }
  auto served = std::make_unique<ServedShards>(options, ranks);
  DCN_RETURN_IF_ERROR(served->Open(tables, hosts));
  return std::unique_ptr<RunShards>(std::move(served));
}

}  // namespace dcn::job
