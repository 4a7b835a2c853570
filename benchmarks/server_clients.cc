#include "benchmarks/server_clients.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include "benchmarks/benchmark_main.h"
#include "benchmarks/job_ranks.h"
#include "benchmarks/server_child.h"
#include "benchmarks/side_by_side.h"
#include "benchmarks/zipf.h"
#include "benchmarks/zipf_client.h"
#include "common/check.h"
#include "tests/ps/slow_table.h"

namespace dcn::benchmarks {
namespace {

constexpr int kRounds = 4;  // of an iteration, so that starting its threads does not show

ps::TableDefinition Table(std::size_t dimension) {
  ps::TableDefinition table;
  table.name = "embedding/benchmark";
  table.dimension = static_cast<std::uint32_t>(dimension);
  table.initializer.seed = 1;
  table.optimizer = ps::AdamOptions{};
  return table;
}

// A server of one shard, the workers of its job, and some of their rows once more in the slow
// table, which is swept at every step.
class ClientGroup {
 public:
  // Goes once through all batches, so that every row that is measured exists.
  ClientGroup(int clients, std::size_t dimension)
      : ranks_(server_.address(), static_cast<std::uint32_t>(clients), Table(dimension)),
        slow_(Table(dimension)) {
    for (int rank = 0; rank < clients; ++rank) {
      clients_.emplace_back(ranks_[rank], rank, dimension);
    }
    ChooseWatched();
    PushPull(ZipfClient::kBatches);
  }

  // Both return seconds. Within a round of pulls nobody waits for the others.
  double Pull(int rounds) {
    return ForEach([&](ZipfClient& client) {
      for (int i = 0; i < rounds; ++i) client.Pull(static_cast<std::size_t>(i));
    });
  }
  double PushPull(int rounds) {
    const double seconds = ForEach([&](ZipfClient& client) {
      for (int i = 0; i < rounds; ++i) client.PushPull(step_ + 1 + static_cast<ps::Step>(i));
    });
    step_ += static_cast<ps::Step>(rounds);
    return seconds;
  }

  // Compares what every client read last, and what it reads now, with the slow table, bit by bit.
  void Check() {
    AdvanceSlowTable();
    CheckPulled();
    Pull(1);
    DCN_CHECK_GE(CheckPulled(), watched_.size());
  }

  [[nodiscard]] std::vector<ZipfClient>& clients() { return clients_; }

 private:
  template <typename Body>
  double ForEach(Body body) {
    return RunSideBySide(static_cast<int>(clients_.size()),
                         [&](int rank) { body(clients_[static_cast<std::size_t>(rank)]); });
  }

  // The row that every batch has, and some of each client's first batch.
  void ChooseWatched() {
    watched_ = {ZipfKey(1)};
    for (const ZipfClient& client : clients_) {
      const std::span<const ps::Key> keys = client.keys(0);
      watched_.insert(watched_.end(), {keys.front(), keys[keys.size() / 2], keys.back()});
    }
    std::ranges::sort(watched_);
    watched_.erase(std::unique(watched_.begin(), watched_.end()), watched_.end());
    for (const ps::Key key : watched_) slow_.At(key);
  }

  void AdvanceSlowTable() {
    const auto level = static_cast<std::uint32_t>(std::bit_width(clients_.size() - 1));
    while (slow_step_ < step_) {
      ++slow_step_;
      std::map<ps::Key, std::vector<float>> gradients;
      for (const ps::Key key : watched_) {
        ps::testing::TreeParts parts;
        for (std::uint32_t rank = 0; rank < clients_.size(); ++rank) {
          const std::span<const float> part = clients_[rank].Gradient(slow_step_, key);
          if (!part.empty()) parts[{0, rank}].assign(part.begin(), part.end());
        }
        const auto sum = ps::testing::SlowTreeValue(parts, level, 0);
        if (sum) gradients[key] = *sum;
      }
      slow_.ApplyStep(JobRank::kLearningRate, gradients);
    }
  }

  // Returns how many rows there were to compare.
  std::size_t CheckPulled() {
    std::size_t compared = 0;
    for (const ZipfClient& client : clients_) {
      DCN_CHECK(!client.Pulled(ZipfKey(1)).empty());
      for (const ps::Key key : watched_) {
        const std::span<const float> pulled = client.Pulled(key);
        if (pulled.empty()) continue;
        DCN_CHECK(std::ranges::equal(pulled, slow_.At(key).w));
        ++compared;
      }
    }
    return compared;
  }

  ServerChild server_{1};
  JobRanks ranks_;
  std::vector<ZipfClient> clients_;
  ps::Step step_ = 0;
  std::vector<ps::Key> watched_;
  ps::testing::SlowTable slow_;
  ps::Step slow_step_ = 0;
};

// The group that was asked for last: others, with their servers, are gone.
class LastGroup {
 public:
  ClientGroup& Get(int clients, std::size_t dimension) {
    if (!group_ || clients != clients_ || dimension != dimension_) {
      group_.reset();
      group_ = std::make_unique<ClientGroup>(clients, dimension);
      clients_ = clients;
      dimension_ = dimension;
    }
    return *group_;
  }

 private:
  std::unique_ptr<ClientGroup> group_;
  int clients_ = 0;
  std::size_t dimension_ = 0;
};

void BenchmarkClients(benchmark::State& state, ClientGroup& group,
                      double (ClientGroup::*run)(int rounds)) {
  for (ZipfClient& client : group.clients()) client.ForgetRequests();
  for (auto _ : state) state.SetIterationTime((group.*run)(kRounds));
  std::size_t rows = 0;
  std::vector<double> latencies;
  for (const ZipfClient& client : group.clients()) {
    rows += client.rows();
    latencies.insert(latencies.end(), client.latencies().begin(), client.latencies().end());
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(rows));
  state.counters["rows_a_request"] =
      static_cast<double>(rows) / static_cast<double>(latencies.size());
  state.counters["p50_us"] = Quantile(latencies, .50) * 1e6;
  state.counters["p99_us"] = Quantile(latencies, .99) * 1e6;
  group.Check();
}

}  // namespace

void RegisterServerClients() {
  const auto last = std::make_shared<LastGroup>();
  for (const std::size_t dimension : {8U, 32U, 128U, 256U}) {
    for (const int clients : {1, 2, 4, 8}) {
      const auto add = [&](const char* what, double (ClientGroup::*run)(int rounds)) {
        const std::string name =
            fmt::format("{}/zipf/clients:{}/dimension:{}", what, clients, dimension);
        WithExtremes(benchmark::RegisterBenchmark(name.c_str(),
                                                  [=](benchmark::State& state) {
                                                    BenchmarkClients(
                                                        state, last->Get(clients, dimension), run);
                                                  }))
            ->UseManualTime()
            ->MinTime(0.1)
            ->Unit(benchmark::kMicrosecond);
      };
      add("ServerPull", &ClientGroup::Pull);
      add("ServerPushPull", &ClientGroup::PushPull);
    }
  }
}

}  // namespace dcn::benchmarks
