#include "benchmarks/table_workload.h"

#include <algorithm>
#include <unordered_set>
#include <utility>
#include <variant>

#include "benchmarks/benchmark_main.h"
#include "common/check.h"
#include "common/random.h"
#include "ps/partition.h"
#include "ps/table/optimizer/adam.h"

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

// One step of one row, plainly; `gradient` is empty in a step that does not touch the row.
struct RowStep {
  std::span<float> w, m, v;
  std::span<const float> gradient;
  ps::Step step;

  void operator()(const ps::AdamOptions& o) const {
    const float size = ps::AdamStepSize(kLearningRate, o.beta_1, o.beta_2, step);
    const ps::AdamCoefficients coefficients{o.beta_1, o.beta_2, o.epsilon, size};
    if (gradient.empty()) return AdamUpdate(coefficients, w, m, v);
    AdamUpdate(coefficients, w, m, v, gradient);
  }
  void operator()(const ps::LazyAdamOptions& o) const {
    if (!gradient.empty()) (*this)(ps::AdamOptions{o.beta_1, o.beta_2, o.epsilon});
  }
  void operator()(const ps::SgdOptions&) const {
    for (std::size_t i = 0; i < gradient.size(); ++i) w[i] -= kLearningRate * gradient[i];
  }
  void operator()(const ps::AdagradOptions&) const { throw CheckError("Adagrad is not measured"); }
};

}  // namespace

TableWorkload::TableWorkload(const ps::OptimizerOptions& optimizer, std::size_t rows,
                             ps::ShardClient& client, std::uint32_t shards)
    : optimizer_(optimizer),
      client_(client),
      gradients_(kBatchKeys * kDimension),
      pulled_(kBatchKeys * kDimension),
      nodes_(kBatchKeys, 0) {
  ps::TableDefinition table;
  table.name = "embedding/benchmark";
  table.dimension = kDimension;
  table.optimizer = optimizer;
  ThrowIfError(client_.CreateTables(std::span(&table, 1)));
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

std::array<float, TableWorkload::kDimension> TableWorkload::Recompute(ps::Key key) const {
  std::array<float, kDimension> w = FirstValues(key);
  std::array<float, kDimension> m{};
  std::array<float, kDimension> v{};
  for (ps::Step step = 1; step <= step_; ++step) {
    std::visit(RowStep{w, m, v, GradientOf(key, step - 1), step}, optimizer_);
  }
  return w;
}

void TableWorkload::CheckRows() {
  Pull(0);
  for (std::size_t i = 0; i < kBatchKeys; i += kBatchKeys / 8) {
    const auto expected = Recompute(keys(0)[i]);
    for (std::size_t lane = 0; lane < kDimension; ++lane) {
      DCN_CHECK_EQ(pulled_[i * kDimension + lane], expected[lane]);
    }
  }
}

}  // namespace dcn::benchmarks
