// Ranks that talk among themselves, as threads of this process: the all-reduce of the DCN's dense
// gradients in the tree's order, and the exchange that it is made of.
//
// The local communicator copies pieces from rank to rank and has no network below it: what is seen
// here is packing, summing and waiting for one another, with more ranks than processors too.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include "benchmarks/benchmark_main.h"
#include "benchmarks/side_by_side.h"
#include "common/check.h"
#include "common/random.h"
#include "common/reduction_tree.h"
#include "common/thread_pool.h"
#include "tests/ps/slow_table.h"
#include "worker/communicator/local.h"
#include "worker/communicator/ordered_reduction.h"

namespace dcn::benchmarks {
namespace {

constexpr std::size_t kParameters = 112'000;  // about those of the DCN beside its tables
constexpr std::uint32_t kLeaves = 16;         // slices of 512 in a batch of 8,192 rows
constexpr std::uint32_t kRootLevel = 4;
// Rounds of an iteration, so that starting its threads does not show.
constexpr int kReductions = 16;
constexpr int kExchanges = 256;
constexpr std::chrono::seconds kTimeout{60};

// The leaves' gradients, of sizes so different that another order of sums has other bits, and what
// the slow tree makes of them.
class Leaves {
 public:
  Leaves() {
    for (std::uint32_t leaf = 0; leaf < kLeaves; ++leaf) {
      std::vector<float> values(kParameters);
      const RandomStream random(1, StreamId("benchmark/leaves") + leaf);
      random.FillUniform(static_cast<float>(1U << (leaf * 7 % 11)), 0, values);
      parts_[{0, leaf}] = std::move(values);
    }
    root_ = NodeValue({kRootLevel, 0});
  }

  [[nodiscard]] std::vector<float> NodeValue(TreeNode node) const {
    return ps::testing::SlowTreeValue(parts_, node.level, node.index).value();
  }
  [[nodiscard]] const std::vector<float>& root() const { return root_; }

 private:
  ps::testing::TreeParts parts_;
  std::vector<float> root_;
};

// One rank: its nodes' values, its part in the reduction and the sum that it gets.
class ReducingRank {
 public:
  ReducingRank(comm::Communicator& communicator, const Leaves& leaves)
      : reduction_(communicator, pool_, kLeaves, kParameters), sum_(kParameters) {
    for (const TreeNode node : reduction_.NodesOf(kLeaves)) {
      node_values_.push_back(leaves.NodeValue(node));
      node_scalars_.push_back(std::min(node.end(), kLeaves) - node.begin());
    }
  }

  void Reduce() {
    std::ranges::fill(sum_, 0.0F);
    scalar_ = ValueOrThrow(reduction_.Run(
        kLeaves,
        [this](std::size_t begin, std::size_t size, std::span<float* const> out) {
          for (std::size_t k = 0; k < out.size(); ++k) {
            std::copy_n(node_values_[k].data() + begin, size, out[k]);
          }
        },
        node_scalars_, sum_, "dense gradients"));
  }

  void Check(const Leaves& leaves) const {
    DCN_CHECK_EQ(scalar_, double{kLeaves});
    DCN_CHECK(std::ranges::equal(sum_, leaves.root()));
  }

 private:
  ThreadPool pool_{1};
  comm::OrderedReduction reduction_;
  std::vector<std::vector<float>> node_values_;
  std::vector<double> node_scalars_;  // leaves below each node
  std::vector<float> sum_;
  double scalar_ = 0;
};

std::uint64_t BytesSent(comm::LocalGroup& group, int ranks) {
  std::uint64_t bytes = 0;
  for (int rank = 0; rank < ranks; ++rank) bytes += group.communicator(rank).bytes_sent();
  return bytes;
}

// Runs `round` of every rank again and again, `count` times an iteration. The counters are of one
// round.
template <typename Round>
void MeasureRounds(benchmark::State& state, comm::LocalGroup& group, int ranks, int count,
                   Round round) {
  const std::uint64_t bytes_before = BytesSent(group, ranks);
  double seconds = 0;
  for (auto _ : state) {
    const double taken = RunSideBySide(ranks, [&](int rank) {
      for (int i = 0; i < count; ++i) round(static_cast<std::size_t>(rank));
    });
    state.SetIterationTime(taken);
    seconds += taken;
  }
  const double rounds = static_cast<double>(state.iterations()) * count;
  state.counters["us_a_round"] = seconds / rounds * 1e6;
  state.counters["bytes_sent_a_round"] =
      static_cast<double>(BytesSent(group, ranks) - bytes_before) / rounds;
}

void BenchmarkReduction(benchmark::State& state, int ranks, const Leaves& leaves) {
  comm::LocalGroup group(ranks, kTimeout);
  std::vector<std::unique_ptr<ReducingRank>> members;
  for (int rank = 0; rank < ranks; ++rank) {
    members.push_back(std::make_unique<ReducingRank>(group.communicator(rank), leaves));
  }
  MeasureRounds(state, group, ranks, kReductions,
                [&](std::size_t rank) { members[rank]->Reduce(); });
  for (const auto& member : members) member->Check(leaves);
  state.SetItemsProcessed(state.iterations() * kReductions *
                          static_cast<std::int64_t>(kParameters));
}

// One rank's pieces for all ranks, and room for theirs.
class ExchangingRank {
 public:
  ExchangingRank(comm::Communicator& communicator, std::size_t piece_bytes)
      : communicator_(communicator) {
    const auto ranks = static_cast<std::size_t>(communicator.size());
    const auto own = static_cast<std::size_t>(communicator.rank());
    for (std::size_t q = 0; q < ranks; ++q) {
      outgoing_.emplace_back(piece_bytes, PieceByte(own, q));
      incoming_.emplace_back(piece_bytes);
    }
    for (std::size_t q = 0; q < ranks; ++q) {
      send_.emplace_back(outgoing_[q]);
      receive_.emplace_back(incoming_[q]);
    }
  }

  void Exchange() { ThrowIfError(communicator_.Exchange(send_, receive_, "pieces")); }

  void Check() const {
    for (std::size_t q = 0; q < incoming_.size(); ++q) {
      const std::byte expected = PieceByte(q, static_cast<std::size_t>(communicator_.rank()));
      for (const std::byte value : incoming_[q]) DCN_CHECK(value == expected);
    }
  }

 private:
  static std::byte PieceByte(std::size_t from, std::size_t to) {
    return static_cast<std::byte>(1 + from * 16 + to);
  }

  comm::Communicator& communicator_;
  std::vector<std::vector<std::byte>> outgoing_, incoming_;
  std::vector<comm::SendPiece> send_;
  std::vector<comm::ReceivePiece> receive_;
};

void BenchmarkExchange(benchmark::State& state, int ranks, std::size_t piece_bytes) {
  comm::LocalGroup group(ranks, kTimeout);
  std::vector<std::unique_ptr<ExchangingRank>> members;
  for (int rank = 0; rank < ranks; ++rank) {
    members.push_back(std::make_unique<ExchangingRank>(group.communicator(rank), piece_bytes));
  }
  MeasureRounds(state, group, ranks, kExchanges,
                [&](std::size_t rank) { members[rank]->Exchange(); });
  for (const auto& member : members) member->Check();
}

void Register(const BenchmarkOptions&) {
  const auto add = [](const std::string& name, auto run) {
    WithExtremes(benchmark::RegisterBenchmark(name.c_str(), run))
        ->UseManualTime()
        ->MinTime(0.2)
        ->Unit(benchmark::kMicrosecond);
  };
  const auto leaves = std::make_shared<const Leaves>();
  for (const int ranks : {1, 2, 3, 4}) {
    add(fmt::format("OrderedReduction/ranks:{}", ranks),
        [=](benchmark::State& state) { BenchmarkReduction(state, ranks, *leaves); });
    // A few numbers, as in a barrier; and a rank's range of the gradients.
    for (const std::size_t bytes : {std::size_t{64}, kParameters * sizeof(float) / 4}) {
      add(fmt::format("Exchange/ranks:{}/bytes:{}", ranks, bytes),
          [=](benchmark::State& state) { BenchmarkExchange(state, ranks, bytes); });
    }
  }
}

}  // namespace
}  // namespace dcn::benchmarks

int main(int argc, char** argv) {
  return dcn::benchmarks::RunBenchmarks(argc, argv, dcn::benchmarks::Register);
}
