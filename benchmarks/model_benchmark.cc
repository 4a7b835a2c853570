// The dense part of the three models over one slice of 512 ratings, on one thread: prediction
// alone, and prediction with all gradients.

#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include "benchmarks/benchmark_main.h"
#include "common/aligned_floats.h"
#include "common/check.h"
#include "common/random.h"
#include "common/thread_pool.h"
#include "tests/testing/reference_model.h"
#include "worker/model/onednn_model.h"

namespace dcn::benchmarks {
namespace {

constexpr std::size_t kRows = 512;
constexpr float kGradientScale = 2.0F / 8192;

model::ModelSpec SpecOf(const std::string& name) {
  std::vector<model::FeatureSpec> features;
  for (const char* feature : {"a", "b", "c", "d", "e", "f"}) features.push_back({feature, 2, 32});
  return ValueOrThrow(model::NamedModel(name, std::move(features)));
}

// A model with a slice and room for its gradients.
struct Slice {
  explicit Slice(const std::string& name)
      : spec(SpecOf(name)),
        model(model::MakeOnednnModel(spec, 1, kRows)),
        dense(spec.dense_size()),
        x0(kRows * spec.input_width()),
        labels(kRows),
        predictions(kRows),
        dense_gradient(spec.dense_size()),
        x0_gradient(kRows * spec.input_width()) {
    model::InitializeDense(spec, 1, dense.span());
    RandomStream(1, StreamId("benchmark/x0")).FillUniform(0.5F, 0, x0.span());
    RandomStream(1, StreamId("benchmark/labels")).FillUniform(2.0F, 0, labels.span());
    ThreadPool pool(1);
    model->SetParameters(dense.span(), pool);
  }

  void Forward() { model->Forward(0, x0.span(), predictions.span()); }

  void ForwardBackward() {
    model::SliceGradient out{.predictions = predictions.span(),
                             .dense_gradient = dense_gradient.span(),
                             .x0_gradient = x0_gradient.span()};
    model->ForwardBackward(0, {x0.span(), labels.span(), kGradientScale}, out);
  }

  model::ModelSpec spec;
  std::unique_ptr<model::DenseModel> model;
  AlignedFloats dense, x0, labels, predictions, dense_gradient, x0_gradient;
};

std::vector<double> Doubles(const AlignedFloats& floats) {
  return {floats.get(), floats.get() + floats.size()};
}

// In norm, as float32 may differ from double.
void CheckNear(const AlignedFloats& values, std::span<const double> expected) {
  DCN_CHECK_EQ(values.size(), expected.size());
  double difference = 0;
  double norm = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double error = static_cast<double>(values.get()[i]) - expected[i];
    difference += error * error;
    norm += expected[i] * expected[i];
  }
  DCN_CHECK_LE(std::sqrt(difference), 2e-5 * std::sqrt(norm));
}

void CountRows(benchmark::State& state) {
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kRows));
}

void BenchmarkForward(benchmark::State& state, const std::string& name) {
  Slice slice(name);
  slice.Forward();
  CheckNear(slice.predictions,
            testing::ReferenceForward(slice.spec, Doubles(slice.dense), Doubles(slice.x0)));
  for (auto _ : state) slice.Forward();
  CountRows(state);
}

void BenchmarkForwardBackward(benchmark::State& state, const std::string& name) {
  Slice slice(name);
  slice.ForwardBackward();
  const testing::ReferenceGradient expected =
      testing::ReferenceForwardBackward(slice.spec, Doubles(slice.dense), Doubles(slice.x0),
                                        Doubles(slice.labels), static_cast<double>(kGradientScale));
  CheckNear(slice.predictions, expected.predictions);
  CheckNear(slice.dense_gradient, expected.dense_gradient);
  CheckNear(slice.x0_gradient, expected.x0_gradient);
  for (auto _ : state) slice.ForwardBackward();
  CountRows(state);
}

void Register(const BenchmarkOptions&) {
  for (const std::string name : {"dcn", "dcn-lowrank", "dnn"}) {
    const std::pair<const char*, void (*)(benchmark::State&, const std::string&)> runs[] = {
        {"Forward", BenchmarkForward}, {"ForwardBackward", BenchmarkForwardBackward}};
    for (const auto& [what, run] : runs) {
      const std::string title = fmt::format("{}/{}", what, name);
      WithExtremes(benchmark::RegisterBenchmark(title.c_str(), run, name))
          ->Unit(benchmark::kMicrosecond);
    }
  }
}

}  // namespace
}  // namespace dcn::benchmarks

int main(int argc, char** argv) {
  return dcn::benchmarks::RunBenchmarks(argc, argv, dcn::benchmarks::Register);
}
