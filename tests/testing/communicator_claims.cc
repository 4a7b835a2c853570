#include "tests/testing/communicator_claims.h"

#include <bit>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include <fmt/core.h>

#include "common/random.h"
#include "common/thread_pool.h"
#include "worker/communicator/collectives.h"
#include "worker/communicator/ordered_reduction.h"

namespace dcn::testing {
namespace {

// What rank `from` sends to rank `to`: its length, and its bytes.
std::size_t PieceLength(std::size_t from, std::size_t to, std::size_t round) {
  constexpr std::size_t kLengths[] = {0, 1, 3, 112, 70'001};
  return kLengths[(from * 3 + to + round) % 5];
}
std::byte PieceByte(std::size_t from, std::size_t to, std::size_t i) {
  return static_cast<std::byte>(from * 31 + to * 7 + i % 251);
}

constexpr std::uint32_t kSignBit = 0x8000'0000U;
constexpr std::uint32_t kExponentBits = 0x7f80'0000U;

// Adds as every computing thread does (common/floating_point.h), whatever the state of the thread
// that asks: denormals are zero going in and coming out.
float WithoutDenormal(float value) {
#if defined(__SSE2__)
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & kExponentBits) == 0) return std::bit_cast<float>(bits & kSignBit);
#endif
  return value;
}
float Add(float a, float b) { return WithoutDenormal(WithoutDenormal(a) + WithoutDenormal(b)); }
double Add(double a, double b) { return a + b; }

// Around the smallest normal number: denormals, numbers whose sums are some, and zeros.
float TinyValue(std::uint32_t word) {
  constexpr std::uint32_t kBelowTwiceTheSmallest = 0x00ff'ffffU;
  return std::bit_cast<float>(word & (kSignBit | kBelowTwiceTheSmallest));
}

// A leaf's value of parameter i: of very different sizes, so that the order of sums shows, and some
// parameters with denormals.
float LeafValue(std::uint32_t leaf, std::size_t i) {
  const RandomStream random(11, StreamId("leaves"));
  const std::uint64_t place = leaf * 1'000'003ULL + i % 50'000;
  if (i % 3 == 2) return TinyValue(random.Word(place));
  const double unit = random.Uniform(place);
  return static_cast<float>(std::ldexp(unit - 0.5, static_cast<int>((leaf * 7 + i) % 19)));
}
double LeafScalar(std::uint32_t leaf) {
  return std::ldexp(1.0 / (leaf + 3.0), static_cast<int>((leaf * 5) % 40));
}

// The tree's definition: a leaf, the only child that exists, or left + right.
template <typename T, typename Leaf>
std::optional<T> NodeValue(std::uint32_t level, std::uint32_t index, std::uint32_t leaves,
                           const Leaf& leaf) {
  if ((std::uint64_t{index} << level) >= leaves) return std::nullopt;
  if (level == 0) return leaf(index);
  const auto left = NodeValue<T>(level - 1, 2 * index, leaves, leaf);
  const auto right = NodeValue<T>(level - 1, 2 * index + 1, leaves, leaf);
  return right ? Add(*left, *right) : *left;
}
template <typename T, typename Leaf>
T RootValue(std::uint32_t leaves, const Leaf& leaf) {
  return *NodeValue<T>(static_cast<std::uint32_t>(std::bit_width(leaves)), 0, leaves, leaf);
}

// How far a sum in another order may be from the tree's: its roundings are relative to what is
// summed.
template <typename T, typename Leaf>
double Tolerance(std::uint32_t leaves, const Leaf& leaf, SumBits bits) {
  if (bits == SumBits::kOfTheTree) return 0;
  double sizes = 0;
  for (std::uint32_t i = 0; i < leaves; ++i) sizes += std::abs(double{leaf(i)});
  // Not every library takes denormals for zero.
  return (sizes * double{std::numeric_limits<T>::epsilon()} +
          2 * double{std::numeric_limits<T>::min()}) *
         leaves;
}

std::string CheckOneReduction(comm::DenseReduction& reduction, std::uint32_t leaves,
                              std::size_t count, SumBits bits) {
  const auto nodes = reduction.NodesOf(leaves);
  const auto value = [&](TreeNode node, std::size_t i) {
    return *NodeValue<float>(node.level, node.index, leaves,
                             [&](std::uint32_t leaf) { return LeafValue(leaf, i); });
  };
  std::vector<double> scalars;
  for (const TreeNode node : nodes) {
    scalars.push_back(*NodeValue<double>(node.level, node.index, leaves, LeafScalar));
  }
  std::vector<float> sum(count, -1.0F);
  const auto scalar = reduction.Run(
      leaves,
      [&](std::size_t begin, std::size_t size, std::span<float* const> out) {
        for (std::size_t k = 0; k < out.size(); ++k) {
          for (std::size_t i = 0; i < size; ++i) out[k][i] = value(nodes[k], begin + i);
        }
      },
      scalars, sum, "sums of a test");
  if (!scalar.ok()) return scalar.status().message();
  if (std::abs(*scalar - RootValue<double>(leaves, LeafScalar)) >
      Tolerance<double>(leaves, LeafScalar, bits)) {
    return fmt::format("{} leaves: scalar {}", leaves, *scalar);
  }
  for (std::size_t i = 0; i < count; ++i) {
    const auto leaf_value = [&](std::uint32_t leaf) { return LeafValue(leaf, i); };
    const auto expected = RootValue<float>(leaves, leaf_value);
    if (std::bit_cast<std::uint32_t>(sum[i]) == std::bit_cast<std::uint32_t>(expected)) continue;
    const double off = std::abs(double{sum[i]} - double{expected});
    if (bits == SumBits::kNearTheTree && off <= Tolerance<float>(leaves, leaf_value, bits)) {
      continue;
    }
    return fmt::format("{} leaves, parameter {}: {} instead of {}", leaves, i, sum[i], expected);
  }
  return {};
}

}  // namespace

std::string CheckExchange(comm::Communicator& communicator) {
  const auto ranks = static_cast<std::size_t>(communicator.size());
  const auto own = static_cast<std::size_t>(communicator.rank());
  for (std::size_t round = 0; round < 7; ++round) {
    std::vector<std::vector<std::byte>> outgoing(ranks);
    std::vector<std::vector<std::byte>> incoming(ranks);
    std::vector<comm::SendPiece> send;
    std::vector<comm::ReceivePiece> receive;
    for (std::size_t q = 0; q < ranks; ++q) {
      for (std::size_t i = 0; i < PieceLength(own, q, round); ++i) {
        outgoing[q].push_back(PieceByte(own, q, i));
      }
      incoming[q].resize(PieceLength(q, own, round));
      send.emplace_back(outgoing[q]);
      receive.emplace_back(incoming[q]);
    }
    const std::uint64_t received_before = communicator.bytes_received();
    if (Status status = communicator.Exchange(send, receive, "pieces of a test"); !status.ok()) {
      return status.message();
    }
    std::uint64_t from_others = 0;
    for (std::size_t q = 0; q < ranks; ++q) {
      if (q != own) from_others += incoming[q].size();
      for (std::size_t i = 0; i < incoming[q].size(); ++i) {
        if (incoming[q][i] == PieceByte(q, own, i)) continue;
        return fmt::format("round {}: byte {} from rank {} is wrong", round, i, q);
      }
    }
    if (communicator.bytes_received() - received_before != from_others) {
      return fmt::format("round {}: {} bytes counted, {} came", round,
                         communicator.bytes_received() - received_before, from_others);
    }
  }
  return {};
}

std::string CheckTexts(comm::Communicator& communicator) {
  const auto text_of = [](int rank) {
    return std::string(static_cast<std::size_t>(rank) * 5, 'x');
  };
  const auto texts = comm::AllGatherText(communicator, text_of(communicator.rank()), "texts");
  if (!texts.ok()) return texts.status().message();
  for (int q = 0; q < communicator.size(); ++q) {
    if ((*texts)[static_cast<std::size_t>(q)] != text_of(q)) {
      return fmt::format("the text of rank {} is wrong", q);
    }
  }
  const auto gathered = comm::GatherText(communicator, text_of(communicator.rank()), "gathered");
  if (!gathered.ok()) return gathered.status().message();
  if (*gathered != (communicator.rank() == 0 ? *texts : std::vector<std::string>())) {
    return "gathered texts are wrong";
  }
  const auto heard = comm::BroadcastText(
      communicator, communicator.rank() == 0 ? "spoken by rank 0" : "not heard", "broadcast");
  if (!heard.ok()) return heard.status().message();
  if (*heard != "spoken by rank 0") return "broadcast gave '" + *heard + "'";
  return comm::Barrier(communicator, "barrier").message();
}

std::string CheckAllGatherRanges(comm::Communicator& communicator) {
  const auto ranks = static_cast<std::size_t>(communicator.size());
  const auto own = static_cast<std::size_t>(communicator.rank());
  std::vector<std::size_t> bounds = {0};
  for (std::size_t q = 0; q < ranks; ++q) bounds.push_back(bounds.back() + (q * 3) % 4);
  std::vector<double> all(bounds.back(), -1.0);
  for (std::size_t i = bounds[own]; i < bounds[own + 1]; ++i) all[i] = static_cast<double>(i);
  const Status status = comm::AllGatherRanges(communicator, std::span(all), bounds, "ranges");
  if (!status.ok()) return status.message();
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i] != static_cast<double>(i)) return fmt::format("element {} is {}", i, all[i]);
  }
  return {};
}

std::string CheckOrderedReduction(comm::Communicator& communicator, std::uint32_t full_leaves,
                                  std::size_t count) {
  ThreadPool pool(communicator.rank() % 2 + 1);
  comm::OrderedReduction reduction(communicator, pool, full_leaves, count);
  return CheckDenseReduction(reduction, communicator.size(), full_leaves, count);
}

std::string CheckDenseReduction(comm::DenseReduction& reduction, int ranks,
                                std::uint32_t full_leaves, std::size_t count, SumBits bits) {
  // Full, short, shortest, full again.
  for (const std::uint32_t leaves : {full_leaves, (full_leaves + 1) / 2, 1U, full_leaves}) {
    std::string wrong = CheckOneReduction(reduction, leaves, count, bits);
    if (!wrong.empty()) {
      return fmt::format("{} ranks, {} full leaves, {} parameters: {}", ranks, full_leaves, count,
                         wrong);
    }
  }
  return {};
}

}  // namespace dcn::testing
