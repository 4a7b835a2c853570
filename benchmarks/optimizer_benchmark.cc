// Each optimizer on rows of 32 floats: one gradient step; and dense-form Adam's replay of missed
// steps.

#include <algorithm>
#include <cstdint>
#include <map>
#include <span>
#include <type_traits>
#include <variant>
#include <vector>

#include <benchmark/benchmark.h>

#include "benchmarks/benchmark_main.h"
#include "common/check.h"
#include "common/random.h"
#include "ps/table/optimizer/adagrad.h"
#include "ps/table/optimizer/adam.h"
#include "ps/table/optimizer/lazy_adam.h"
#include "ps/table/optimizer/sgd.h"
#include "ps/table/rate_history.h"
#include "tests/ps/slow_table.h"

namespace dcn::benchmarks {
namespace {

constexpr std::size_t kDimension = 32;
constexpr std::size_t kRows = 32;  // with state and gradients in the first-level cache
constexpr std::size_t kFloats = kRows * kDimension;
constexpr float kLearningRate = 0.01F;

// Rows that have seen no gradient yet.
struct Rows {
  explicit Rows(const ps::OptimizerOptions& optimizer)
      : w(kFloats), m(kFloats), v(kFloats), g(kFloats) {
    const RandomStream random(1, StreamId("benchmark/rows"));
    random.FillUniform(0.05F, 0, w);
    random.FillUniform(0.01F, kFloats, g);
    if (const auto* adagrad = std::get_if<ps::AdagradOptions>(&optimizer)) {
      std::ranges::fill(m, adagrad->initial_accumulator);
    }
  }
  std::vector<float> w, m, v, g;  // Adagrad's accumulator is m

  [[nodiscard]] static std::span<float> Row(std::vector<float>& floats, std::size_t row) {
    return std::span(floats).subspan(row * kDimension, kDimension);
  }
};

ps::AdamCoefficients CoefficientsAt(ps::Step step) {
  const ps::AdamOptions options;
  return {options.beta_1, options.beta_2, options.epsilon,
          ps::AdamStepSize(kLearningRate, options.beta_1, options.beta_2, step)};
}

// Takes one step of a row. `rate` is what the rule multiplies with.
void Update(const ps::AdamOptions& options, float rate, Rows& rows, std::size_t row) {
  ps::AdamUpdate({options.beta_1, options.beta_2, options.epsilon, rate}, Rows::Row(rows.w, row),
                 Rows::Row(rows.m, row), Rows::Row(rows.v, row), Rows::Row(rows.g, row));
}
void Update(const ps::LazyAdamOptions& options, float rate, Rows& rows, std::size_t row) {
  ps::LazyAdamUpdate(options, rate, Rows::Row(rows.w, row), Rows::Row(rows.m, row),
                     Rows::Row(rows.v, row), Rows::Row(rows.g, row));
}
void Update(const ps::AdagradOptions& options, float rate, Rows& rows, std::size_t row) {
  ps::AdagradUpdate(options, rate, Rows::Row(rows.w, row), Rows::Row(rows.m, row),
                    Rows::Row(rows.g, row));
}
void Update(const ps::SgdOptions&, float rate, Rows& rows, std::size_t row) {
  ps::SgdUpdate(rate, Rows::Row(rows.w, row), Rows::Row(rows.g, row));
}

template <typename Options>
float RateAt(const Options& /*options*/, ps::Step step) {
  constexpr bool kIsAdam =
      std::is_same_v<Options, ps::AdamOptions> || std::is_same_v<Options, ps::LazyAdamOptions>;
  return kIsAdam ? CoefficientsAt(step).step_size : kLearningRate;
}

// The first steps have the bits of the slow table's.
template <typename Options>
void CheckSteps(const Options& options) {
  Rows rows(options);
  ps::testing::SlowTable slow(
      {.name = "rows", .dimension = kDimension, .initializer = {}, .optimizer = options});
  std::map<ps::Key, std::vector<float>> gradients;
  for (std::size_t r = 0; r < kRows; ++r) {
    const auto copy = [r](std::vector<float>& floats) {
      const std::span<float> row = Rows::Row(floats, r);
      return std::vector<float>(row.begin(), row.end());
    };
    slow.Assign(r, copy(rows.w));
    gradients[r] = copy(rows.g);
  }
  for (ps::Step step = 1; step <= 5; ++step) {
    slow.ApplyStep(kLearningRate, gradients);
    for (std::size_t r = 0; r < kRows; ++r) Update(options, RateAt(options, step), rows, r);
  }
  for (std::size_t r = 0; r < kRows; ++r) {
    DCN_CHECK(std::ranges::equal(slow.At(r).w, Rows::Row(rows.w, r)));
    DCN_CHECK(std::ranges::equal(slow.At(r).m, Rows::Row(rows.m, r)));
    DCN_CHECK(std::ranges::equal(slow.At(r).v, Rows::Row(rows.v, r)));
  }
}

template <typename Options>
void BenchmarkStep(benchmark::State& state, const Options& options) {
  CheckSteps(options);
  Rows rows(options);
  const float rate = RateAt(options, 100);
  for (auto _ : state) {
    for (std::size_t r = 0; r < kRows; ++r) Update(options, rate, rows, r);
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kRows));
}

// Items are missed steps; the copy of a fresh row is part of the time, and small.
void BenchmarkReplay(benchmark::State& state) {
  const auto gap = static_cast<ps::Step>(state.range(0));
  constexpr ps::Step kStart = 100;
  ps::RateHistory history{ps::AdamOptions{}};
  for (ps::Step step = 1; step <= kStart + gap; ++step) history.Append(kLearningRate);
  Rows first{ps::AdamOptions{}};
  for (std::size_t r = 0; r < kRows; ++r) Update(ps::AdamOptions{}, kLearningRate, first, r);
  Rows rows = first;
  const auto replay = [&] {
    rows.w = first.w;
    rows.m = first.m;
    rows.v = first.v;
    for (std::size_t r = 0; r < kRows; ++r) {
      AdamReplay(ps::AdamOptions{}, history.Between(kStart, kStart + gap), Rows::Row(rows.w, r),
                 Rows::Row(rows.m, r), Rows::Row(rows.v, r));
    }
  };
  replay();
  Rows expected = first;
  for (ps::Step step = kStart + 1; step <= kStart + gap; ++step) {
    for (std::size_t i = 0; i < kFloats; ++i) {
      const ps::AdamCoefficients c = CoefficientsAt(step);
      ps::testing::SlowAdamLane(c.beta_1, c.beta_2, c.epsilon, c.step_size, 0.0F, expected.w[i],
                                expected.m[i], expected.v[i]);
    }
  }
  DCN_CHECK(rows.w == expected.w && rows.m == expected.m && rows.v == expected.v);
  for (auto _ : state) {
    replay();
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kRows * gap));
}

void Register(const BenchmarkOptions&) {
  const auto add = [](const char* name, const auto& options) {
    WithExtremes(benchmark::RegisterBenchmark(
        name, [options](benchmark::State& state) { BenchmarkStep(state, options); }));
  };
  add("AdamStep/row", ps::AdamOptions{});
  add("LazyAdamStep/row", ps::LazyAdamOptions{});
  add("AdagradStep/row", ps::AdagradOptions{});
  add("SgdStep/row", ps::SgdOptions{});
  WithExtremes(benchmark::RegisterBenchmark("AdamReplay/missed_steps", BenchmarkReplay))
      ->Arg(8)
      ->Arg(122)
      ->Arg(2000);
}

}  // namespace
}  // namespace dcn::benchmarks

int main(int argc, char** argv) {
  return dcn::benchmarks::RunBenchmarks(argc, argv, dcn::benchmarks::Register);
}
