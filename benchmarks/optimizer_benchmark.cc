// Dense-form Adam on rows of 32 floats: one gradient step, and the replay of missed steps.

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include "benchmarks/benchmark_main.h"
#include "common/check.h"
#include "common/random.h"
#include "ps/table/optimizer/adam.h"
#include "ps/table/rate_history.h"

namespace dcn::benchmarks {
namespace {

constexpr std::size_t kDimension = 32;
constexpr std::size_t kRows = 32;  // with state and gradients in the first-level cache
constexpr std::size_t kFloats = kRows * kDimension;
constexpr float kLearningRate = 0.01F;

struct Rows {
  Rows() : w(kFloats), m(kFloats), v(kFloats), g(kFloats) {
    const RandomStream random(1, StreamId("benchmark/rows"));
    random.FillUniform(0.05F, 0, w);
    random.FillUniform(0.01F, kFloats, m);
    random.FillUniform(0.01F, 2 * kFloats, g);
    for (std::size_t i = 0; i < kFloats; ++i) v[i] = m[i] * m[i];
  }
  std::vector<float> w, m, v, g;

  [[nodiscard]] static std::span<float> Row(std::vector<float>& floats, std::size_t row) {
    return std::span(floats).subspan(row * kDimension, kDimension);
  }
};

// The definition in ps/table/optimizer/adam.h, one lane at a time.
void PlainStep(const ps::AdamCoefficients& c, float gradient, float& w, float& m, float& v) {
  m = c.beta_1 * m + (1.0F - c.beta_1) * gradient;
  v = c.beta_2 * v + (1.0F - c.beta_2) * (gradient * gradient);
  w = w - c.step_size * m / (std::sqrt(v) + c.epsilon);
}

ps::AdamCoefficients CoefficientsAt(ps::Step step) {
  const ps::AdamOptions options;
  return {options.beta_1, options.beta_2, options.epsilon,
          ps::AdamStepSize(kLearningRate, options.beta_1, options.beta_2, step)};
}

void BenchmarkStep(benchmark::State& state) {
  const ps::AdamCoefficients coefficients = CoefficientsAt(100);
  Rows rows;
  const auto update = [&] {
    for (std::size_t r = 0; r < kRows; ++r) {
      AdamUpdate(coefficients, Rows::Row(rows.w, r), Rows::Row(rows.m, r), Rows::Row(rows.v, r),
                 Rows::Row(rows.g, r));
    }
  };
  update();
  Rows expected;
  for (std::size_t i = 0; i < kFloats; ++i) {
    PlainStep(coefficients, expected.g[i], expected.w[i], expected.m[i], expected.v[i]);
  }
  DCN_CHECK(rows.w == expected.w && rows.m == expected.m && rows.v == expected.v);
  for (auto _ : state) {
    update();
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
  const Rows first;
  Rows rows;
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
  Rows expected;
  for (ps::Step step = kStart + 1; step <= kStart + gap; ++step) {
    for (std::size_t i = 0; i < kFloats; ++i) {
      PlainStep(CoefficientsAt(step), 0.0F, expected.w[i], expected.m[i], expected.v[i]);
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
  WithExtremes(benchmark::RegisterBenchmark("AdamStep/row", BenchmarkStep));
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
