// Both engines against the slow reference: predictions, squared error, every parameter's gradient
// and the gradient of x0, over the grid of models and slice sizes. The reference computes in
// double; a float32 engine is allowed 1e-5 of each tensor's norm.
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

namespace dcn::model {
namespace {

using testing::EngineNames;
using testing::NamedSpec;

constexpr double kTolerance = 1e-5;
constexpr std::size_t kMaxSliceRows = 513;
constexpr float kGradientScale = 2.0F / 1000;

// How far from the kink of every ReLU a row stays. Nearer than the rounding error, float32 and
// double may take different sides, and a row's gradient is then another number, not a wrong one.
// Where few units carry the gradient, a small z = x W + b also has a large relative error itself.
constexpr double kMarginOfFewUnits = 1e-2;
constexpr double kMarginOfManyUnits = 1e-5;

// Random parameters and a random slice, away from the kinks.
struct Problem {
  std::vector<float> parameters;
  std::vector<float> x0;
  std::vector<float> labels;
};

std::vector<double> Widen(const std::vector<float>& values) {
  return {values.begin(), values.end()};
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
  const std::vector<double> parameters = Widen(problem.parameters);
  const std::size_t width = spec.input_width();
  std::vector<float> row((width + 3) / 4 * 4);
  for (std::uint64_t candidate = 0; problem.labels.size() < rows; ++candidate) {
    RandomStream(7, candidate).FillUniform(0.9F, 0, row);
    const std::vector<double> wide(row.begin(), row.begin() + static_cast<std::ptrdiff_t>(width));
    if (testing::ReferenceReluMargin(spec, parameters, wide) < relu_margin) continue;
    problem.x0.insert(problem.x0.end(), row.begin(),
                      row.begin() + static_cast<std::ptrdiff_t>(width));
    problem.labels.push_back(static_cast<float>(1 + RandomStream(8, 0).Word(candidate) % 5));
  }
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
// garbage: the engine must overwrite it.
Answer Compute(DenseModel& engine, int thread, const Problem& problem, std::size_t begin,
               std::size_t rows) {
  const std::size_t width = problem.x0.size() / problem.labels.size();
  constexpr float kGarbage = std::numeric_limits<float>::quiet_NaN();
  Answer answer;
  answer.predictions.assign(rows, kGarbage);
  answer.dense_gradient.assign(problem.parameters.size(), kGarbage);
  answer.x0_gradient.assign(rows * width, kGarbage);
  SliceGradient gradient{.predictions = answer.predictions,
                         .dense_gradient = answer.dense_gradient,
                         .x0_gradient = answer.x0_gradient,
                         .squared_error = std::numeric_limits<double>::quiet_NaN()};
  engine.ForwardBackward(thread,
                         {.x0 = std::span(problem.x0).subspan(begin * width, rows * width),
                          .labels = std::span(problem.labels).subspan(begin, rows),
                          .gradient_scale = kGradientScale},
                         gradient);
  answer.squared_error = gradient.squared_error;
  return answer;
}

// The norm of actual - expected, as a share of the norm of expected.
double RelativeError(std::span<const float> actual, std::span<const double> expected) {
  double error = 0;
  double norm = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    error += (actual[i] - expected[i]) * (actual[i] - expected[i]);
    norm += expected[i] * expected[i];
  }
  if (norm == 0) return error == 0 ? 0 : std::numeric_limits<double>::infinity();
  return std::sqrt(error / norm);
}

void ExpectAgreement(const ModelSpec& spec, DenseModel& engine, const Problem& problem) {
  const std::size_t rows = problem.labels.size();
  const Answer answer = Compute(engine, 0, problem, 0, rows);
  const testing::ReferenceGradient expected =
      testing::ReferenceForwardBackward(spec, Widen(problem.parameters), Widen(problem.x0),
                                        Widen(problem.labels), double{kGradientScale});
  EXPECT_LE(RelativeError(answer.predictions, expected.predictions), kTolerance) << "predictions";
  EXPECT_LE(RelativeError(answer.x0_gradient, expected.x0_gradient), kTolerance) << "x0 gradient";
  EXPECT_NEAR(answer.squared_error, expected.squared_error, kTolerance * expected.squared_error);
  for (const DenseParameter& parameter : spec.DenseParameters()) {
    EXPECT_LE(
        RelativeError(std::span(answer.dense_gradient).subspan(parameter.offset, parameter.size),
                      std::span(expected.dense_gradient).subspan(parameter.offset, parameter.size)),
        kTolerance)
        << parameter.name;
  }
  std::vector<float> predictions(rows, std::numeric_limits<float>::quiet_NaN());
  engine.Forward(0, problem.x0, predictions);
  EXPECT_LE(RelativeError(predictions, expected.predictions), kTolerance) << "Forward";
}

class EngineAgreement : public ::testing::TestWithParam<std::string> {};

TEST_P(EngineAgreement, GradientsAreTheReferencesOverTheGrid) {
  DCN_SKIP_WITHOUT_ENGINE(GetParam());
  ThreadPool pool(1);
  for (const NamedSpec& named : testing::ModelGrid()) {
    const auto engine = testing::MakeEngine(GetParam(), named.spec, 1, kMaxSliceRows);
    for (const std::size_t rows : {1U, 7U, 512U, 513U}) {
      SCOPED_TRACE(fmt::format("{}, {} rows", named.name, rows));
      const Problem problem = MakeProblem(named.spec, rows, kMarginOfFewUnits);
      engine->SetParameters(problem.parameters, pool);
      ExpectAgreement(named.spec, *engine, problem);
    }
  }
}

TEST_P(EngineAgreement, GradientsOfTheExperimentsModelsAreTheReferences) {
  DCN_SKIP_WITHOUT_ENGINE(GetParam());
  ThreadPool pool(1);
  for (const char* name : {"dcn", "dcn-lowrank", "dnn"}) {
    const auto spec = NamedModel(name, {{"a", 5, 96}, {"b", 5, 64}, {"c", 5, 32}});
    ASSERT_TRUE(spec.ok()) << spec.status().ToString();
    const auto engine = testing::MakeEngine(GetParam(), *spec, 1, 64);
    for (const std::size_t rows : {31U, 64U}) {
      SCOPED_TRACE(fmt::format("{}, {} rows", name, rows));
      const Problem problem = MakeProblem(*spec, rows, kMarginOfManyUnits);
      engine->SetParameters(problem.parameters, pool);
      ExpectAgreement(*spec, *engine, problem);
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
  const Problem problem = MakeProblem(spec, 2 * kRows, kMarginOfManyUnits);
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
  const Problem problem = MakeProblem(spec, kRows, kMarginOfManyUnits);
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

INSTANTIATE_TEST_SUITE_P(, EngineAgreement, ::testing::ValuesIn(EngineNames()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace dcn::model
