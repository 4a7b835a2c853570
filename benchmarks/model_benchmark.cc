// The dense part of the three models over one slice of 512 ratings, on one thread: prediction
// alone, and prediction with all gradients; in fp32 and, where the processor has it, in bf16.

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
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
#include "worker/model/bfloat16.h"
#include "worker/model/onednn_isa.h"
#include "worker/model/onednn_model.h"
#include "worker/model/precision.h"

namespace dcn::benchmarks {
namespace {

constexpr std::size_t kRows = 512;
constexpr float kGradientScale = 2.0F / 8192;

model::ModelSpec SpecOf(const std::string& name) {
  std::vector<model::FeatureSpec> features;
  for (const char* feature : {"a", "b", "c", "d", "e", "f"}) features.push_back({feature, 2, 32});
  return ValueOrThrow(model::NamedModel(name, std::move(features)));
}

// A model with a slice and room for its gradients. Element: of the rows, float or Bfloat16.
template <typename Element>
struct Slice {
  static constexpr bool kIsBf16 = std::is_same_v<Element, model::Bfloat16>;

  explicit Slice(const std::string& name)
      : spec(SpecOf(name)),
        model(model::MakeOnednnModel(spec, 1, kRows,
                                     kIsBf16 ? model::Precision::kBf16 : model::Precision::kFp32)),
        dense(spec.dense_size()),
        labels(kRows),
        predictions(kRows),
        dense_gradient(spec.dense_size()),
        x0(kRows * spec.input_width()),
        x0_gradient(kRows * spec.input_width()) {
    model::InitializeDense(spec, 1, dense.span());
    AlignedFloats values(x0.size());
    RandomStream(1, StreamId("benchmark/x0")).FillUniform(0.5F, 0, values.span());
    std::ranges::transform(values.span(), x0.get(), model::FromFloat<Element>);
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
  AlignedFloats dense, labels, predictions, dense_gradient;
  AlignedBlock<Element> x0, x0_gradient;
};

template <typename Element>
std::vector<double> Doubles(const AlignedBlock<Element>& values) {
  std::vector<double> doubles;
  for (const Element value : values.span()) {
    doubles.push_back(static_cast<double>(model::ToFloat(value)));
  }
  return doubles;
}

// In norm: `most` of it.
template <typename Element>
void CheckNear(const AlignedBlock<Element>& block, std::span<const double> expected, double most) {
  const std::vector<double> values = Doubles(block);
  DCN_CHECK_EQ(values.size(), expected.size());
  double difference = 0;
  double norm = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double error = values[i] - expected[i];
    difference += error * error;
    norm += expected[i] * expected[i];
  }
  DCN_CHECK_LE(std::sqrt(difference), most * std::sqrt(norm));
}

void CountRows(benchmark::State& state) {
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kRows));
}

// How far a precision may be from double.
template <typename Element>
constexpr double kMost = std::is_same_v<Element, model::Bfloat16> ? 8e-2 : 2e-5;

template <typename Element>
void BenchmarkForward(benchmark::State& state, const std::string& name) {
  Slice<Element> slice(name);
  slice.Forward();
  CheckNear(slice.predictions,
            testing::ReferenceForward(slice.spec, Doubles(slice.dense), Doubles(slice.x0)),
            kMost<Element>);
  for (auto _ : state) slice.Forward();
  CountRows(state);
}

template <typename Element>
void BenchmarkForwardBackward(benchmark::State& state, const std::string& name) {
  Slice<Element> slice(name);
  slice.ForwardBackward();
  const testing::ReferenceGradient expected =
      testing::ReferenceForwardBackward(slice.spec, Doubles(slice.dense), Doubles(slice.x0),
                                        Doubles(slice.labels), static_cast<double>(kGradientScale));
  CheckNear(slice.predictions, expected.predictions, kMost<Element>);
  CheckNear(slice.dense_gradient, expected.dense_gradient, kMost<Element>);
  CheckNear(slice.x0_gradient, expected.x0_gradient, kMost<Element>);
  for (auto _ : state) slice.ForwardBackward();
  CountRows(state);
}

// "Forward/dcn", and "Forward/bf16/dcn" where the processor has it.
template <typename Element>
void RegisterModels(const char* precision) {
  for (const std::string name : {"dcn", "dcn-lowrank", "dnn"}) {
    const std::pair<const char*, void (*)(benchmark::State&, const std::string&)> runs[] = {
        {"Forward", BenchmarkForward<Element>},
        {"ForwardBackward", BenchmarkForwardBackward<Element>}};
    for (const auto& [what, run] : runs) {
      const std::string title = fmt::format("{}/{}{}", what, precision, name);
      WithExtremes(benchmark::RegisterBenchmark(title.c_str(), run, name))
          ->Unit(benchmark::kMicrosecond);
    }
  }
}

void Register(const BenchmarkOptions&) {
  RegisterModels<float>("");
  if (model::CheckBf16(model::OnednnInstructionSet()).ok()) {
    RegisterModels<model::Bfloat16>("bf16/");
  }
}

}  // namespace
}  // namespace dcn::benchmarks

int main(int argc, char** argv) {
  return dcn::benchmarks::RunBenchmarks(argc, argv, dcn::benchmarks::Register);
}
