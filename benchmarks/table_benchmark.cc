// A shard in this process: pulls and pushes of 8,192 rows of 32 floats out of a big table, and what
// a row takes in memory.
//
// BareGather (bare_gather.h) is the yardstick of a pull.

#include <algorithm>
#include <fstream>
#include <memory>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include "benchmarks/bare_gather.h"
#include "benchmarks/benchmark_main.h"
#include "benchmarks/table_workload.h"
#include "ps/server/local_shard.h"
#include "ps/server/shard.h"
#include "ps/table/table_definition.h"

namespace dcn::benchmarks {
namespace {

constexpr std::size_t kDimension = TableWorkload::kDimension;
constexpr std::size_t kBatchKeys = TableWorkload::kBatchKeys;

// One workload for several benchmarks, made by the first that runs.
class SharedWorkload {
 public:
  SharedWorkload(ps::OptimizerOptions optimizer, std::size_t rows)
      : optimizer_(optimizer), rows_(rows) {}
  TableWorkload& Get() {
    if (!workload_) workload_ = std::make_unique<TableWorkload>(optimizer_, rows_, client_);
    return *workload_;
  }

 private:
  const ps::OptimizerOptions optimizer_;
  const std::size_t rows_;
  ps::Shard shard_;
  ps::LocalShard client_{shard_};
  std::unique_ptr<TableWorkload> workload_;
};

void CountRows(benchmark::State& state) {
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kBatchKeys));
}

void BenchmarkPull(benchmark::State& state, TableWorkload& workload) {
  std::size_t batch = 0;
  for (auto _ : state) workload.Pull(batch++);
  CountRows(state);
  workload.CheckRows();
}

void BenchmarkPush(benchmark::State& state, TableWorkload& workload) {
  for (auto _ : state) workload.Push();
  CountRows(state);
  workload.CheckRows();
}

void BenchmarkPushPull(benchmark::State& state, TableWorkload& workload) {
  for (auto _ : state) workload.PushPull();
  CountRows(state);
  workload.CheckRows();
}

void BenchmarkBareGather(benchmark::State& state, std::size_t rows, TableWorkload& workload) {
  BareGather bare(rows);
  std::size_t batch = 0;
  for (auto _ : state) bare.Gather(workload.keys(batch++));
  CountRows(state);
  const auto expected = TableWorkload::FirstValues(workload.keys(batch - 1).back());
  DCN_CHECK(std::ranges::equal(bare.gathered().last(kDimension), expected));
}

std::size_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t size = 0;
  std::size_t resident = 0;
  file >> size >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

// Fills a table row by row, as training does; the figure of interest is not the time.
void BenchmarkMemory(benchmark::State& state, const ps::OptimizerOptions& optimizer,
                     std::size_t rows) {
  for (auto _ : state) {
    const std::size_t before = ResidentBytes();
    ps::Shard shard;
    ps::LocalShard client(shard);
    const TableWorkload workload(optimizer, rows, client);
    const double count = static_cast<double>(rows);
    const double bytes = static_cast<double>(shard.memory_bytes()) / count;
    const double resident = static_cast<double>(ResidentBytes() - before) / count;
    const double payload =
        static_cast<double>((1 + ps::StateCount(optimizer)) * kDimension * sizeof(float));
    DCN_CHECK_EQ(shard.tables()[0].row_count(), rows);
    DCN_CHECK_GE(bytes, payload);
    state.counters["rows"] = count;
    state.counters["payload_bytes_per_row"] = payload;
    state.counters["bytes_per_row"] = bytes;
    state.counters["resident_bytes_per_row"] = resident;
    state.counters["share_of_payload"] = bytes / payload;
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(rows));
}

void Register(const BenchmarkOptions& options) {
  const std::pair<std::string, ps::OptimizerOptions> optimizers[] = {
      {"adam", ps::AdamOptions{}}, {"lazy-adam", ps::LazyAdamOptions{}}, {"sgd", ps::SgdOptions{}}};
  // First, while nothing else takes memory.
  const auto measure_memory = [=](benchmark::State& state) {
    BenchmarkMemory(state, ps::AdamOptions{}, options.memory_rows);
  };
  WithExtremes(benchmark::RegisterBenchmark("Memory/adam", measure_memory))
      ->Iterations(1)
      ->Unit(benchmark::kMillisecond);
  for (const auto& [name, optimizer] : optimizers) {
    const auto shared = std::make_shared<SharedWorkload>(optimizer, options.table_rows);
    const auto add = [&shared, &optimizer_name = name](const char* what, auto run) {
      const std::string title = fmt::format("{}/{}", what, optimizer_name);
      WithExtremes(
          benchmark::RegisterBenchmark(
              title.c_str(), [shared, run](benchmark::State& state) { run(state, shared->Get()); }))
          ->UseRealTime()
          ->Unit(benchmark::kMicrosecond);
    };
    if (std::holds_alternative<ps::AdamOptions>(optimizer)) {
      add("BareGather",
          [rows = options.table_rows](benchmark::State& state, TableWorkload& workload) {
            BenchmarkBareGather(state, rows, workload);
          });
    }
    add("Pull", BenchmarkPull);
    add("Push", BenchmarkPush);
    add("PushPull", BenchmarkPushPull);
  }
}

}  // namespace
}  // namespace dcn::benchmarks

int main(int argc, char** argv) {
  return dcn::benchmarks::RunBenchmarks(argc, argv, dcn::benchmarks::Register);
}
