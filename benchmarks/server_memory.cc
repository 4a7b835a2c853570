#include "benchmarks/server_memory.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "benchmarks/benchmark_main.h"
#include "benchmarks/job_ranks.h"
#include "benchmarks/server_child.h"
#include "benchmarks/side_by_side.h"
#include "benchmarks/zipf.h"
#include "common/check.h"
#include "common/random.h"
#include "ps/protocol.h"
#include "ps/table/table_definition.h"

namespace dcn::benchmarks {
namespace {

constexpr std::size_t kDimension = 32;
constexpr std::size_t kBatchDraws = 8192;  // for one rank's push
constexpr double kUniverse = 1e9;          // keys
constexpr std::uint32_t kRanks = 2;
constexpr std::size_t kSmallRequests = 100'000;
constexpr std::size_t kSmallKeys = 64;
// What a row may take, as a share of its payload, in tables that are big: the steps in which memory
// is taken are small then.
constexpr double kMaxShareOfPayload = 1.15;
constexpr std::size_t kBigTableRows = 1'000'000;
// That a small request may leave behind; an entry of a map would be more.
constexpr double kMaxBytesLeftByRequest = 16;

// One worker's keys and what it asks for.
class Worker {
 public:
  explicit Worker(int rank)
      : zipf_(kZipfExponent, kUniverse,
              RandomStream(1, StreamId("benchmark/zipf") + static_cast<std::uint64_t>(rank))) {
    gradients_.resize(kBatchDraws * kDimension);
    RandomStream(1, StreamId("benchmark/gradients")).FillUniform(0.01F, 0, gradients_);
  }

  // Pushes the next batch.
  void Step(JobRank& rank) {
    DrawZipfKeys(zipf_, kBatchDraws, keys_);
    ++step_;
    rank.PushPull(step_, keys_, std::span(gradients_).first(keys_.size() * kDimension), {});
  }

  // Reads a few rows that are there.
  void SmallPull(JobRank& rank, std::size_t request) {
    const std::size_t first = request % (keys_.size() - kSmallKeys);
    values_.resize(kSmallKeys * kDimension);
    rank.Pull({.table = 0, .keys = std::span(keys_).subspan(first, kSmallKeys), .values = values_});
  }

 private:
  Zipf zipf_;
  ps::Step step_ = 0;
  std::vector<ps::Key> keys_;
  std::vector<float> gradients_;
  std::vector<float> values_;
};

class TwoWorkers {
 public:
  TwoWorkers(const std::string& address, const ps::TableDefinition& table)
      : ranks_(address, kRanks, table) {
    for (int rank = 0; rank < ranks_.size(); ++rank) workers_.emplace_back(rank);
  }

  template <typename Body>
  void ForEach(Body body) {
    RunSideBySide(ranks_.size(),
                  [&](int rank) { body(workers_[static_cast<std::size_t>(rank)], ranks_[rank]); });
  }

 private:
  JobRanks ranks_;
  std::vector<Worker> workers_;
};

void BenchmarkMemory(benchmark::State& state, const ps::OptimizerOptions& optimizer,
                     std::size_t wanted_rows) {
  const double payload =
      static_cast<double>((1 + ps::StateCount(optimizer)) * kDimension * sizeof(float));
  for (auto _ : state) {
    const ServerChild server(1);
    ps::TableDefinition table;
    table.name = "embedding/benchmark";
    table.dimension = kDimension;
    table.initializer.seed = 1;
    table.optimizer = optimizer;
    TwoWorkers workers(server.address(), table);
    workers.ForEach([](Worker& worker, JobRank& rank) { worker.Step(rank); });
    const std::size_t first_bytes = server.resident_bytes();
    const std::size_t first_rows = server.rows();
    std::size_t rows = first_rows;
    while (rows < wanted_rows) {
      workers.ForEach([](Worker& worker, JobRank& rank) {
        for (int step = 0; step < 20; ++step) worker.Step(rank);
      });
      rows = server.rows();
    }
    const std::size_t full_bytes = server.resident_bytes();
    workers.ForEach([](Worker& worker, JobRank& rank) {
      for (std::size_t i = 0; i < kSmallRequests / kRanks; ++i) worker.SmallPull(rank, i);
    });
    const std::size_t after_bytes = server.resident_bytes();
    DCN_CHECK_EQ(server.rows(), rows);
    const double per_row =
        static_cast<double>(full_bytes - first_bytes) / static_cast<double>(rows - first_rows);
    const double left_bytes = static_cast<double>(after_bytes) - static_cast<double>(full_bytes);
    DCN_CHECK_GE(per_row, payload);
    if (rows >= kBigTableRows) DCN_CHECK_LE(per_row, kMaxShareOfPayload * payload);
    DCN_CHECK_LE(left_bytes, kMaxBytesLeftByRequest * kSmallRequests);
    state.counters["rows"] = static_cast<double>(rows);
    state.counters["payload_bytes_per_row"] = payload;
    state.counters["resident_bytes_per_row"] = per_row;
    state.counters["share_of_payload"] = per_row / payload;
    state.counters["bytes_left_by_small_requests"] = left_bytes;
  }
}

}  // namespace

void RegisterServerMemory(const BenchmarkOptions& options) {
  WithExtremes(benchmark::RegisterBenchmark("ServerMemory/adam",
                                            [=](benchmark::State& state) {
                                              BenchmarkMemory(state, ps::AdamOptions{},
                                                              options.memory_rows);
                                            }))
      ->Iterations(1)
      ->Unit(benchmark::kMillisecond);
}

}  // namespace dcn::benchmarks
