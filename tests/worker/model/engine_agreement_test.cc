// The engines against the slow reference, and those of full precision against each other:
// predictions, squared error, every parameter's gradient and the gradient of x0, over the grid of
// models and slice sizes. The reference computes in double; a float32 engine is allowed 1e-5 of
// each tensor's norm, one of bf16 products more.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "common/random.h"
#include "common/thread_pool.h"
#include "tests/testing/engines.h"
#include "tests/testing/model_grid.h"
#include "tests/testing/reference_model.h"
#include "worker/model/bfloat16.h"
#include "worker/model/elementwise.h"

namespace dcn::model {
namespace {

using testing::NamedSpec;

constexpr std::size_t kMaxSliceRows = 513;
constexpr float kGradientScale = 2.0F / 1000;

// What an engine may differ by, as shares of a tensor's norm, and how far from the kink of every
// ReLU a row stays. Nearer than the rounding error, an engine and double may take different sides,
// and a row's gradient is then another number, not a wrong one. Where few units carry the gradient,
// a small z = x W + b also has a large relative error itself.
struct Bounds {
  double few_rows;
  double many_rows;
  double many_units;
  double margin_of_few_units;
  double margin_of_many_units;
  double prediction_scale;  // a prediction's error is compared with at least this
};

// bf16 rounds what products read by at most u = 2^-8 of each value, .41 u in the mean square; terms
// of two rounded values are off by .6 u, and layers add theirs, with either sign: over five layers
// and back within 2.5 u of the norm, unless few numbers make it up (10 u). Of many units no row
// keeps all away from the kink; the share p of them that takes the other side adds sqrt(p), and p
// is about u. A prediction near zero has no such bound of its own.
Bounds BoundsOf(const std::string& engine) {
  if (engine == testing::kBf16Engine) return {4e-2, 1e-2, 8e-2, 6e-2, 1e-5, 1};
  return {1e-5, 1e-5, 1e-5, 1e-2, 1e-5, 0};
}

// Random parameters and a random slice, away from the kinks.
struct Problem {
  std::vector<float> parameters;
  std::vector<float> x0;
  std::vector<float> labels;
};

std::vector<double> Widen(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

// `rows` rows for the problem's parameters: x0 within (-limit, limit).
void DrawSlice(const ModelSpec& spec, std::size_t rows, float limit, double relu_margin,
               Problem& problem) {
  const std::vector<double> parameters = Widen(problem.parameters);
  const std::size_t width = spec.input_width();
  std::vector<float> row((width + 3) / 4 * 4);
  for (std::uint64_t candidate = 0; problem.labels.size() < rows; ++candidate) {
    RandomStream(7, candidate).FillUniform(limit, 0, row);
    const std::vector<double> wide(row.begin(), row.begin() + static_cast<std::ptrdiff_t>(width));
    if (testing::ReferenceReluMargin(spec, parameters, wide) < relu_margin) continue;
    problem.x0.insert(problem.x0.end(), row.begin(),
                      row.begin() + static_cast<std::ptrdiff_t>(width));
    problem.labels.push_back(static_cast<float>(1 + RandomStream(8, 0).Word(candidate) % 5));
  }
}

Problem MakeProblem(const ModelSpec& spec, std::size_t rows, double relu_margin) {
  Problem problem;
  problem.parameters.resize(spec.dense_size());
  InitializeDense(spec, 5, problem.parameters);
  for (const DenseParameter& parameter : spec.DenseParameters()) {
    if (parameter.shape.size() != 1) continue;
    const std::span<float> bias(problem.parameters.data() + parameter.offset, parameter.size);
    RandomStream(6, StreamId(parameter.name)).FillUniform(0.2F, 0, bias);
    // Mostly alive, also where a layer is one unit wide.
    for (float& value : bias) value += 0.3F;
  }
  DrawSlice(spec, rows, 0.9F, relu_margin, problem);
  return problem;
}

// What a run's first step meets: first values of the dense parameters and of the embeddings.
Problem MakeFirstStep(const ModelSpec& spec, std::size_t rows, double relu_margin) {
  Problem problem;
  problem.parameters.resize(spec.dense_size());
  InitializeDense(spec, 5, problem.parameters);
  DrawSlice(spec, rows, 0.05F, relu_margin, problem);
  return problem;
}

// An engine's answer with its storage.
struct Answer {
  std::vector<float> predictions;
  std::vector<float> dense_gradient;
  std::vector<float> x0_gradient;
  double squared_error = 0;

  friend bool operator==(const Answer& a, const Answer& b) {
    const auto same_bits = [](const std::vector<float>& x, const std::vector<float>& y) {
      return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0;
    };
    return same_bits(a.predictions, b.predictions) &&
           same_bits(a.dense_gradient, b.dense_gradient) &&
           same_bits(a.x0_gradient, b.x0_gradient) && a.squared_error == b.squared_error;
  }
};

// Rows [begin, begin + rows) of the problem through the engine. What the answer held before is
// garbage: the engine must overwrite it. Or it adds to `dense_gradient`.
Answer Compute(DenseModel& engine, int thread, const Problem& problem, std::size_t begin,
               std::size_t rows, const std::vector<float>* dense_gradient = nullptr) {
  const std::size_t width = problem.x0.size() / problem.labels.size();
  constexpr float kGarbage = std::numeric_limits<float>::quiet_NaN();
  const std::span<const float> x0 = std::span(problem.x0).subspan(begin * width, rows * width);
  const bool is_bf16 = engine.row_precision() == Precision::kBf16;
  std::vector<Bfloat16> rounded(x0.size());
  Round(x0.size(), x0.data(), rounded.data());
  std::vector<Bfloat16> rounded_gradient(x0.size(), ToBfloat16(kGarbage));
  Answer answer;
  answer.predictions.assign(rows, kGarbage);
  answer.dense_gradient.assign(problem.parameters.size(), kGarbage);
  if (dense_gradient != nullptr) answer.dense_gradient = *dense_gradient;
  answer.x0_gradient.assign(x0.size(), kGarbage);
  SliceGradient gradient{.predictions = answer.predictions,
                         .dense_gradient = answer.dense_gradient,
                         .x0_gradient = answer.x0_gradient,
                         .squared_error = std::numeric_limits<double>::quiet_NaN(),
                         .adds_dense_gradient = dense_gradient != nullptr};
  if (is_bf16) gradient.x0_gradient = rounded_gradient;
  engine.ForwardBackward(thread,
                         {.x0 = is_bf16 ? Rows(rounded) : Rows(x0),
                          .labels = std::span(problem.labels).subspan(begin, rows),
                          .gradient_scale = kGradientScale},
                         gradient);
  if (is_bf16) {
    std::ranges::transform(rounded_gradient, answer.x0_gradient.begin(),
                           [](Bfloat16 value) { return ToFloat(value); });
  }
  answer.squared_error = gradient.squared_error;
  return answer;
}

std::vector<float> Predict(DenseModel& engine, const Problem& problem) {
  std::vector<float> predictions(problem.labels.size(), std::numeric_limits<float>::quiet_NaN());
  std::vector<Bfloat16> rounded(problem.x0.size());
  Round(rounded.size(), problem.x0.data(), rounded.data());
  const bool is_bf16 = engine.row_precision() == Precision::kBf16;
  engine.Forward(0, is_bf16 ? Rows(rounded) : Rows(problem.x0), predictions);
  return predictions;
}

// The norm of actual - expected, as a share of the norm of expected (but not of less than `scale`
// for each value).
double RelativeError(std::span<const float> actual, std::span<const double> expected,
                     double scale = 0) {
  double error = 0;
  double norm = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    error += (actual[i] - expected[i]) * (actual[i] - expected[i]);
    norm += expected[i] * expected[i];
  }
  norm = std::max(norm, static_cast<double>(expected.size()) * scale * scale);
  if (norm == 0) return error == 0 ? 0 : std::numeric_limits<double>::infinity();
  return std::sqrt(error / norm);
}

void ExpectAgreement(const ModelSpec& spec, DenseModel& engine, const Problem& problem,
                     double tolerance, double prediction_scale) {
  const std::size_t rows = problem.labels.size();
  const Answer answer = Compute(engine, 0, problem, 0, rows);
  const testing::ReferenceGradient expected =
      testing::ReferenceForwardBackward(spec, Widen(problem.parameters), Widen(problem.x0),
                                        Widen(problem.labels), double{kGradientScale});
  EXPECT_LE(RelativeError(answer.predictions, expected.predictions, prediction_scale), tolerance)
      << "predictions";
  EXPECT_LE(RelativeError(answer.x0_gradient, expected.x0_gradient), tolerance) << "x0 gradient";
  EXPECT_NEAR(answer.squared_error, expected.squared_error, tolerance * expected.squared_error);
  for (const DenseParameter& parameter : spec.DenseParameters()) {
    EXPECT_LE(
        RelativeError(std::span(answer.dense_gradient).subspan(parameter.offset, parameter.size),
                      std::span(expected.dense_gradient).subspan(parameter.offset, parameter.size)),
        tolerance)
        << parameter.name;
  }
  EXPECT_LE(RelativeError(Predict(engine, problem), expected.predictions, prediction_scale),
            tolerance)
      << "Forward";
}

class EngineAgreement : public ::testing::TestWithParam<std::string> {};

TEST_P(EngineAgreement, GradientsAreTheReferencesOverTheGrid) {
  DCN_SKIP_WITHOUT_ENGINE(GetParam());
  const Bounds bounds = BoundsOf(GetParam());
  ThreadPool pool(1);
  for (const NamedSpec& named : testing::ModelGrid()) {
    const auto engine = testing::MakeEngine(GetParam(), named.spec, 1, kMaxSliceRows);
    for (const std::size_t rows : {1U, 7U, 512U, 513U}) {
      SCOPED_TRACE(fmt::format("{}, {} rows", named.name, rows));
      const Problem problem = MakeProblem(named.spec, rows, bounds.margin_of_few_units);
      engine->SetParameters(problem.parameters, pool);
      ExpectAgreement(named.spec, *engine, problem, rows < 512 ? bounds.few_rows : bounds.many_rows,
                      bounds.prediction_scale);
    }
  }
}

TEST_P(EngineAgreement, GradientsOfTheExperimentsModelsAreTheReferences) {
  DCN_SKIP_WITHOUT_ENGINE(GetParam());
  const Bounds bounds = BoundsOf(GetParam());
  ThreadPool pool(1);
  for (const char* name : {"dcn", "dcn-lowrank", "dnn"}) {
    const auto spec = NamedModel(name, {{"a", 5, 96}, {"b", 5, 64}, {"c", 5, 32}});
    ASSERT_TRUE(spec.ok()) << spec.status().ToString();
    const auto engine = testing::MakeEngine(GetParam(), *spec, 1, 64);
    for (const std::size_t rows : {31U, 64U}) {
      SCOPED_TRACE(fmt::format("{}, {} rows", name, rows));
      const Problem problem = MakeProblem(*spec, rows, bounds.margin_of_many_units);
      engine->SetParameters(problem.parameters, pool);
      ExpectAgreement(*spec, *engine, problem, bounds.many_units, bounds.prediction_scale);
    }
  }
}

// Both kinds of cross layer, with widths that fill no vector register evenly.
ModelSpec UnevenSpec() {
  ModelSpec spec;
  spec.features = {{"a", 3, 33}, {"b", 3, 32}};
  spec.cross = {{}, {.projection_dimension = 10, .preactivation = Activation::kTanh}};
  spec.deep = {70, 30};
  return spec;
}

TEST_P(EngineAgreement, BitsDependNeitherOnThreadNorOnWhatRanBefore) {
  DCN_SKIP_WITHOUT_ENGINE(GetParam());
  constexpr int kThreads = 3;
  constexpr std::size_t kRows = 200;
  const ModelSpec spec = UnevenSpec();
  const Problem problem = MakeProblem(spec, 2 * kRows, BoundsOf(GetParam()).margin_of_many_units);
  ThreadPool pool(kThreads);
  const auto first = testing::MakeEngine(GetParam(), spec, 1, kRows);
  first->SetParameters(problem.parameters, pool);
  const Answer expected = Compute(*first, 0, problem, kRows, kRows);

  // Three threads at once; each has computed other slices, of other sizes, before.
  const auto engine = testing::MakeEngine(GetParam(), spec, kThreads, kRows);
  engine->SetParameters(problem.parameters, pool);
  std::vector<int> agreeing(kThreads, 0);
  std::vector<int> computed(kThreads, 0);
  pool.ParallelFor(24, [&](int thread, std::size_t index) {
    Compute(*engine, thread, problem, index, 1 + index * 7);
    const Answer answer = Compute(*engine, thread, problem, kRows, kRows);
    const auto slot = static_cast<std::size_t>(thread);
    agreeing[slot] += answer == expected ? 1 : 0;
    ++computed[slot];
  });
  EXPECT_EQ(agreeing, computed);
  EXPECT_EQ(computed[0] + computed[1] + computed[2], 24);

  // Other parameters and back.
  std::vector<float> other(problem.parameters.size(), 0.01F);
  engine->SetParameters(other, pool);
  EXPECT_FALSE(Compute(*engine, 0, problem, kRows, kRows) == expected);
  engine->SetParameters(problem.parameters, pool);
  EXPECT_TRUE(Compute(*engine, 2, problem, kRows, kRows) == expected);
}

TEST_P(EngineAgreement, BitsDoNotDependOnWhereTheSliceLies) {
  DCN_SKIP_WITHOUT_ENGINE(GetParam());
  constexpr std::size_t kRows = 61;
  const ModelSpec spec = UnevenSpec();
  const Problem problem = MakeProblem(spec, kRows, BoundsOf(GetParam()).margin_of_many_units);
  ThreadPool pool(1);
  const auto engine = testing::MakeEngine(GetParam(), spec, 1, kRows);
  engine->SetParameters(problem.parameters, pool);
  const Answer expected = Compute(*engine, 0, problem, 0, kRows);
  // A row is 65 floats, so each of these starts elsewhere within a cache line.
  for (std::size_t shift = 1; shift < 6; ++shift) {
    Problem shifted = problem;
    shifted.x0.insert(shifted.x0.begin(), shift * spec.input_width(), 1.0F);
    shifted.labels.insert(shifted.labels.begin(), shift, 1.0F);
    EXPECT_TRUE(Compute(*engine, 0, shifted, shift, kRows) == expected) << shift;
  }
}

TEST_P(EngineAgreement, AddsAGradientAfterComputingItAlone) {
  DCN_SKIP_WITHOUT_ENGINE(GetParam());
  ThreadPool pool(1);
  std::vector<ModelSpec> specs = {UnevenSpec()};
  for (const NamedSpec& named : testing::ModelGrid()) specs.push_back(named.spec);
  for (const ModelSpec& spec : specs) {
    const auto engine = testing::MakeEngine(GetParam(), spec, 1, 512);
    for (const std::size_t rows : {1U, 61U, 512U}) {
      const Problem problem = MakeProblem(spec, rows, BoundsOf(GetParam()).margin_of_many_units);
      engine->SetParameters(problem.parameters, pool);
      std::vector<float> before(problem.parameters.size());
      RandomStream(9, 0).FillUniform(0.5F, 0, before);
      const Answer added = Compute(*engine, 0, problem, 0, rows, &before);
      Answer expected = Compute(*engine, 0, problem, 0, rows);
      for (std::size_t i = 0; i < before.size(); ++i) expected.dense_gradient[i] += before[i];
      EXPECT_TRUE(added == expected) << rows << " rows, " << before.size() << " parameters";
    }
  }
}

// Two engines that are each within 1e-5 of the reference may be 2e-5 apart.
void ExpectEnginesAgree(const ModelSpec& spec, DenseModel& onednn, DenseModel& torch,
                        const Problem& problem) {
  constexpr double kTolerance = 1e-5;
  ThreadPool pool(1);
  const auto compute = [&](DenseModel& engine) {
    engine.SetParameters(problem.parameters, pool);
    return Compute(engine, 0, problem, 0, problem.labels.size());
  };
  const Answer actual = compute(onednn);
  const Answer expected = compute(torch);
  EXPECT_LE(RelativeError(actual.predictions, Widen(expected.predictions)), kTolerance)
      << "predictions";
  EXPECT_LE(RelativeError(actual.x0_gradient, Widen(expected.x0_gradient)), kTolerance)
      << "x0 gradient";
  EXPECT_NEAR(actual.squared_error, expected.squared_error, kTolerance * expected.squared_error);
  const std::vector<double> gradient = Widen(expected.dense_gradient);
  for (const DenseParameter& parameter : spec.DenseParameters()) {
    EXPECT_LE(
        RelativeError(std::span(actual.dense_gradient).subspan(parameter.offset, parameter.size),
                      std::span(gradient).subspan(parameter.offset, parameter.size)),
        kTolerance)
        << parameter.name;
  }
}

TEST(OnednnAndTorch, GradientsAgreeOverTheGrid) {
  DCN_SKIP_WITHOUT_ENGINE("torch");
  const double margin = BoundsOf("onednn").margin_of_few_units;
  for (const NamedSpec& named : testing::ModelGrid()) {
    const auto onednn = testing::MakeEngine("onednn", named.spec, 1, kMaxSliceRows);
    const auto torch = testing::MakeEngine("torch", named.spec, 1, kMaxSliceRows);
    for (const std::size_t rows : {1U, 7U, 512U, 513U}) {
      SCOPED_TRACE(fmt::format("{}, {} rows", named.name, rows));
      ExpectEnginesAgree(named.spec, *onednn, *torch, MakeProblem(named.spec, rows, margin));
    }
  }
}

TEST(OnednnAndTorch, GradientsOfAnExperimentsFirstSliceAgree) {
  DCN_SKIP_WITHOUT_ENGINE("torch");
  constexpr std::size_t kRows = 512;
  const double margin = BoundsOf("onednn").margin_of_many_units;
  std::vector<FeatureSpec> features;
  for (const char* name : {"a", "b", "c", "d", "e", "f"}) features.push_back({name, 5, 32});
  for (const char* name : {"dcn", "dcn-lowrank", "dnn"}) {
    SCOPED_TRACE(name);
    const auto spec = NamedModel(name, features);
    ASSERT_TRUE(spec.ok()) << spec.status().ToString();
    const auto onednn = testing::MakeEngine("onednn", *spec, 1, kRows);
    const auto torch = testing::MakeEngine("torch", *spec, 1, kRows);
    ExpectEnginesAgree(*spec, *onednn, *torch, MakeFirstStep(*spec, kRows, margin));
  }
}

std::vector<std::string> AllEngines() {
  std::vector<std::string> names = testing::EngineNames();
  names.emplace_back(testing::kBf16Engine);
  return names;
}

INSTANTIATE_TEST_SUITE_P(, EngineAgreement, ::testing::ValuesIn(AllEngines()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace dcn::model
