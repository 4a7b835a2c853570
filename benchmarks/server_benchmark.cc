// A parameter server in a process of its own, reached over loopback by one worker: pulls, pushes
// and synchronous rounds of 8,192 rows of 32 floats out of a big table, beside a bare loop in this
// process that gathers the same rows; how long small pulls take. Then its memory (server_memory.h)
// and several workers at once (server_clients.h).
//
// Each iteration times both sides, one after the other, so that a slow moment of the machine slows
// both: share_of_bare is the bare loop's time over the server's.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include "benchmarks/bare_gather.h"
#include "benchmarks/benchmark_main.h"
#include "benchmarks/server_child.h"
#include "benchmarks/server_clients.h"
#include "benchmarks/server_memory.h"
#include "benchmarks/shard_group.h"
#include "benchmarks/table_workload.h"
#include "common/clock.h"
#include "ps/client/job_connection.h"

namespace dcn::benchmarks {
namespace {

// A server, one worker's way to it, its table, and the bare loop.
class RemoteTable {
 public:
  RemoteTable(const ps::OptimizerOptions& optimizer, std::size_t rows, std::uint32_t shards)
      : server_(shards),
        connection_(Connect(server_.address())),
        shards_(connection_->MakeShards(0)),
        in_flight_(kInFlight),
        workload_(optimizer, rows, shards_, shards),
        bare_(rows) {
    for (Pulling& pulling : in_flight_) {
      pulling.shards = std::make_unique<ShardGroup>(connection_->MakeShards(0));
      pulling.values.resize(TableWorkload::kBatchKeys * TableWorkload::kDimension);
    }
  }

  TableWorkload& workload() { return workload_; }
  ps::ShardClient& shards() { return shards_; }
  BareGather& bare() { return bare_; }

  // Pulls that many batches from `first` on, several of them in flight all the time.
  void PullMany(std::size_t first, std::size_t batches) {
    for (std::size_t i = 0; i < batches + kInFlight; ++i) {
      Pulling& pulling = in_flight_[i % kInFlight];
      if (i >= kInFlight) ThrowIfError(pulling.shards->Finish());
      if (i >= batches) continue;
      pulling.rows = {
          .table = 0, .keys = workload_.keys(first + i), .values = std::span(pulling.values)};
      pulling.shards->StartPull(std::span(&pulling.rows, 1));
    }
  }

  // What PullMany(0, batch + 1) read for that batch, its last.
  [[nodiscard]] std::span<const float> last_pulled(std::size_t batch) const {
    return in_flight_[batch % kInFlight].values;
  }

  // Whether these are the first values of a batch, as a pull of the whole of it says.
  void CheckPulled(std::size_t batch, std::span<const float> values) {
    workload_.Pull(batch);
    DCN_CHECK(std::ranges::equal(workload_.pulled().first(values.size()), values));
  }

 private:
  static constexpr std::size_t kInFlight = 4;

  // One request that is on its way.
  struct Pulling {
    std::unique_ptr<ShardGroup> shards;
    std::vector<float> values;
    ps::RowsToPull rows;
  };

  static std::unique_ptr<ps::JobConnection> Connect(const std::string& address) {
    ps::JobConnectionOptions options;
    options.servers.push_back({.addresses = {address}, .incarnation = 0});
    options.job = "benchmark";
    auto connection = ValueOrThrow(ps::JobConnection::Create(std::move(options)));
    ThrowIfError(connection->Connect(1));
    return connection;
  }

  ServerChild server_;
  std::unique_ptr<ps::JobConnection> connection_;
  ShardGroup shards_;
  std::vector<Pulling> in_flight_;
  TableWorkload workload_;
  BareGather bare_;
};

// Times `ask` against the bare loop over the same batch.
template <typename Ask>
void BenchmarkRound(benchmark::State& state, RemoteTable& table, Ask ask) {
  double remote = 0;
  double bare = 0;
  std::size_t batch = 0;
  for (auto _ : state) {
    Stopwatch stopwatch;
    ask(table.workload(), batch);
    const double seconds = stopwatch.Restart();
    state.SetIterationTime(seconds);
    remote += seconds;
    table.bare().Gather(table.workload().keys(batch));
    bare += stopwatch.seconds();
    ++batch;
  }
  state.SetItemsProcessed(state.iterations() *
                          static_cast<std::int64_t>(TableWorkload::kBatchKeys));
  state.counters["share_of_bare"] = bare / remote;
  table.workload().CheckRows();
}

// The same for pulls of which several are in flight.
void BenchmarkPullMany(benchmark::State& state, RemoteTable& table) {
  constexpr std::size_t kPulls = 32;
  double remote = 0;
  double bare = 0;
  std::size_t batch = 0;
  for (auto _ : state) {
    Stopwatch stopwatch;
    table.PullMany(batch, kPulls);
    const double seconds = stopwatch.Restart();
    state.SetIterationTime(seconds);
    remote += seconds;
    for (std::size_t i = 0; i < kPulls; ++i) {
      table.bare().Gather(table.workload().keys(batch + i));
    }
    bare += stopwatch.seconds();
    batch += kPulls;
  }
  state.SetItemsProcessed(state.iterations() *
                          static_cast<std::int64_t>(kPulls * TableWorkload::kBatchKeys));
  state.counters["share_of_bare"] = bare / remote;
  table.CheckPulled(batch - 1, table.last_pulled(batch - 1));
}

// How long a pull of a few keys takes, one after the other.
void BenchmarkLatency(benchmark::State& state, RemoteTable& table, std::size_t keys) {
  std::vector<double> latencies;
  std::vector<float> values(keys * TableWorkload::kDimension);
  std::size_t batch = 0;
  for (auto _ : state) {
    const ps::RowsToPull rows = {
        .table = 0, .keys = table.workload().keys(batch++).first(keys), .values = values};
    Stopwatch stopwatch;
    table.shards().StartPull(std::span(&rows, 1));
    ThrowIfError(table.shards().Finish());
    latencies.push_back(stopwatch.seconds());
    state.SetIterationTime(latencies.back());
  }
  table.CheckPulled(batch - 1, values);
  state.counters["p50_us"] = Quantile(latencies, .50) * 1e6;
  state.counters["p99_us"] = Quantile(latencies, .99) * 1e6;
}

void RegisterRounds(const std::string& optimizer_name, const ps::OptimizerOptions& optimizer,
                    std::size_t rows, std::uint32_t shards) {
  const std::string name = fmt::format("{}/shards:{}", optimizer_name, shards);
  const auto shared = std::make_shared<std::unique_ptr<RemoteTable>>();
  const auto get = [=]() -> RemoteTable& {
    if (!*shared) *shared = std::make_unique<RemoteTable>(optimizer, rows, shards);
    return **shared;
  };
  const auto add = [&](const std::string& title, auto run) {
    WithExtremes(benchmark::RegisterBenchmark(title.c_str(),
                                              [=](benchmark::State& state) { run(state, get()); }))
        ->UseManualTime()
        ->Unit(benchmark::kMicrosecond);
  };
  add("ServerPull/" + name, [](benchmark::State& state, RemoteTable& table) {
    BenchmarkRound(state, table,
                   [](TableWorkload& workload, std::size_t batch) { workload.Pull(batch); });
  });
  add("ServerPull4InFlight/" + name, BenchmarkPullMany);
  for (const std::size_t keys : {1U, 64U}) {
    add(fmt::format("ServerSmallPull/{}/{}", name, keys),
        [keys](benchmark::State& state, RemoteTable& table) {
          BenchmarkLatency(state, table, keys);
        });
  }
  add("ServerPush/" + name, [](benchmark::State& state, RemoteTable& table) {
    BenchmarkRound(state, table, [](TableWorkload& workload, std::size_t) { workload.Push(); });
  });
  add("ServerPushPull/" + name, [](benchmark::State& state, RemoteTable& table) {
    BenchmarkRound(state, table, [](TableWorkload& workload, std::size_t) { workload.PushPull(); });
  });
}

void Register(const BenchmarkOptions& options) {
  RegisterServerMemory(options);  // first, while nothing else takes memory
  for (const std::uint32_t shards : {1U, 2U}) {
    RegisterRounds("lazy-adam", ps::LazyAdamOptions{}, options.table_rows, shards);
    RegisterRounds("adam", ps::AdamOptions{}, options.table_rows, shards);
  }
  RegisterServerClients();
}

}  // namespace
}  // namespace dcn::benchmarks

int main(int argc, char** argv) {
  return dcn::benchmarks::RunBenchmarks(argc, argv, dcn::benchmarks::Register);
}
