#include "benchmarks/table_workload.h"

#include <algorithm>
#include <map>
#include <unordered_set>
#include <utility>

#include "benchmarks/benchmark_main.h"
#include "common/check.h"
#include "common/random.h"
#include "ps/partition.h"
#include "tests/ps/slow_table.h"

namespace dcn::benchmarks {
namespace {

constexpr float kLearningRate = 0.01F;
constexpr TreeNode kRoot{0, 0};

std::vector<ps::Key> DrawKeys(std::size_t batch, std::size_t rows, std::uint32_t shards) {
  const RandomStream random(1, StreamId("benchmark/keys") + batch);
  std::unordered_set<ps::Key> drawn;
  for (std::uint64_t i = 0; drawn.size() < TableWorkload::kBatchKeys; ++i) {
    drawn.insert(BoundedWord(random.Word64(i), rows));
  }
  std::vector<ps::Key> keys(drawn.begin(), drawn.end());
  std::ranges::sort(keys, {},
                    [&](ps::Key key) { return std::pair(ps::ShardOf(0, key, shards), key); });
  return keys;
}

}  // namespace

TableWorkload::TableWorkload(const ps::OptimizerOptions& optimizer, std::size_t rows,
                             ps::ShardClient& client, std::uint32_t shards)
    : client_(client),
      gradients_(kBatchKeys * kDimension),
      pulled_(kBatchKeys * kDimension),
      nodes_(kBatchKeys, 0) {
  definition_.name = "embedding/benchmark";
  definition_.dimension = kDimension;
  definition_.optimizer = optimizer;
  ThrowIfError(client_.CreateTables(std::span(&definition_, 1)));
  for (std::size_t b = 0; b < kBatches; ++b) keys_[b] = DrawKeys(b, rows, shards);
  RandomStream(1, StreamId("benchmark/gradients")).FillUniform(0.01F, 0, gradients_);

  std::vector<ps::Key> keys;
  std::vector<float> values;
  for (std::size_t first = 0; first < rows; first += kBatchKeys) {
    keys.clear();
    values.clear();
    for (ps::Key key = first; key < std::min(first + kBatchKeys, rows); ++key) {
      const auto row = FirstValues(key);
      keys.push_back(key);
      values.insert(values.end(), row.begin(), row.end());
    }
    ThrowIfError(client_.Assign(0, keys, values));
  }
}

std::array<float, TableWorkload::kDimension> TableWorkload::FirstValues(ps::Key key) {
  std::array<float, kDimension> values;
  for (std::size_t i = 0; i < kDimension; ++i) {
    const std::uint64_t word = ps::MixKey(key * kDimension + i);
    values[i] = static_cast<float>(word >> 40U) * 0x1p-24F - 0.5F;
  }
  return values;
}

void TableWorkload::Pull(std::size_t batch) {
  const ps::RowsToPull rows{.table = 0, .keys = keys(batch), .values = pulled_};
  client_.StartPull(std::span(&rows, 1));
  ThrowIfError(client_.Finish());
}

void TableWorkload::Push() { StartPush({}); }

void TableWorkload::PushPull() {
  const ps::RowsToPull rows{.table = 0, .keys = keys(step_ + 1), .values = pulled_};
  StartPush(std::span(&rows, 1));
}

void TableWorkload::StartPush(std::span<const ps::RowsToPull> pull) {
  const ps::RowGradients gradients{
      .table = 0, .keys = keys(step_), .nodes = nodes_, .values = gradients_};
  ++step_;
  client_.StartPushPull({.rank = 0,
                         .step = step_,
                         .learning_rate = kLearningRate,
                         .nodes = std::span(&kRoot, 1),
                         .gradients = std::span(&gradients, 1)},
                        pull);
  ThrowIfError(client_.Finish());
}

std::span<const float> TableWorkload::GradientOf(ps::Key key, std::size_t batch) const {
  const std::span<const ps::Key> keys = this->keys(batch);
  const auto found = std::ranges::find(keys, key);
  if (found == keys.end()) return {};
  const auto position = static_cast<std::size_t>(found - keys.begin());
  return std::span(gradients_).subspan(position * kDimension, kDimension);
}

void TableWorkload::CheckRows() {
  Pull(0);
  constexpr std::size_t kChecked = 8;
  constexpr std::size_t kStride = kBatchKeys / kChecked;
  ps::testing::SlowTable slow(definition_);
  for (std::size_t i = 0; i < kBatchKeys; i += kStride) {
    const auto row = FirstValues(keys(0)[i]);
    slow.Assign(keys(0)[i], {row.begin(), row.end()});
  }
  std::map<ps::Key, std::vector<float>> gradients;
  for (ps::Step step = 1; step <= step_; ++step) {
    gradients.clear();
    for (std::size_t i = 0; i < kBatchKeys; i += kStride) {
      const std::span<const float> gradient = GradientOf(keys(0)[i], step - 1);
      if (!gradient.empty()) {
        gradients[keys(0)[i]].assign(gradient.begin(), gradient.end());
      }
    }
    slow.ApplyStep(kLearningRate, gradients);
  }
  for (std::size_t i = 0; i < kBatchKeys; i += kStride) {
    const std::vector<float>& expected = slow.At(keys(0)[i]).w;
    for (std::size_t lane = 0; lane < kDimension; ++lane) {
      DCN_CHECK_EQ(pulled_[i * kDimension + lane], expected[lane]);
    }
  }
}

}  // namespace dcn::benchmarks
