// The oracle's own tests: its gradients against numerical differentiation, its training against
// what TensorFlow did.
#include "tests/testing/reference_model.h"

#include <cmath>
#include <string>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "common/random.h"
#include "tests/testing/golden_case.h"
#include "tests/testing/model_grid.h"

namespace dcn::testing {
namespace {

using Vector = std::vector<double>;

Vector RandomVector(std::uint64_t stream, std::size_t size, double scale) {
  const RandomStream random(17, stream);
  Vector values(size);
  for (std::size_t i = 0; i < size; ++i) values[i] = scale * (2 * random.Uniform(i) - 1);
  return values;
}

// Half of gradient_scale times the squared error: what ReferenceForwardBackward differentiates.
double Loss(const model::ModelSpec& spec, const Vector& parameters, const Vector& x0,
            const Vector& labels, double gradient_scale) {
  const Vector predictions = ReferenceForward(spec, parameters, x0);
  double sum = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    sum += (predictions[i] - labels[i]) * (predictions[i] - labels[i]);
  }
  return gradient_scale / 2 * sum;
}

TEST(ReferenceModel, GradientsAreThoseOfNumericalDifferentiation) {
  constexpr double kScale = 0.7;
  constexpr double kStep = 1e-6;
  for (const NamedSpec& named : ModelGrid()) {
    const model::ModelSpec& spec = named.spec;
    const std::size_t rows = 3;
    Vector parameters = RandomVector(1, spec.dense_size(), 0.4);
    Vector x0 = RandomVector(2, rows * spec.input_width(), 0.8);
    const Vector labels = RandomVector(3, rows, 2.0);
    const ReferenceGradient gradient =
        ReferenceForwardBackward(spec, parameters, x0, labels, kScale);
    EXPECT_EQ(gradient.predictions, ReferenceForward(spec, parameters, x0));

    const auto compare = [&](Vector& values, const Vector& derivatives) {
      ASSERT_EQ(values.size(), derivatives.size());
      for (std::size_t i = 0; i < values.size(); ++i) {
        const double value = values[i];
        values[i] = value + kStep;
        const double above = Loss(spec, parameters, x0, labels, kScale);
        values[i] = value - kStep;
        const double below = Loss(spec, parameters, x0, labels, kScale);
        values[i] = value;
        ASSERT_NEAR((above - below) / (2 * kStep), derivatives[i],
                    1e-7 * (1 + std::abs(derivatives[i])))
            << named.name << ", entry " << i;
      }
    };
    compare(parameters, gradient.dense_gradient);
    compare(x0, gradient.x0_gradient);
  }
}

class ReferenceGolden : public ::testing::TestWithParam<std::filesystem::path> {};

// Tables and dense parameters in one vector each, in double.
struct Weights {
  std::vector<Vector> tables;
  Vector dense;

  explicit Weights(const GoldenWeights& golden) : dense(golden.dense.begin(), golden.dense.end()) {
    for (const auto& table : golden.tables) tables.emplace_back(table.begin(), table.end());
  }
};

Vector GatherX0(const model::ModelSpec& spec, const GoldenStep& step,
                const std::vector<Vector>& tables) {
  Vector x0;
  for (std::size_t row = 0; row < step.labels.size(); ++row) {
    for (std::size_t f = 0; f < tables.size(); ++f) {
      const std::size_t dimension = spec.features[f].dimension;
      for (std::size_t k = 0; k < dimension; ++k) {
        x0.push_back(tables[f][step.keys[f][row] * dimension + k]);
      }
    }
  }
  return x0;
}

// The whole tables' gradients: zero where a row does not occur, summed where it repeats.
std::vector<Vector> ScatterX0Gradient(const model::ModelSpec& spec, const GoldenStep& step,
                                      const Vector& x0_gradient) {
  std::vector<Vector> gradients;
  std::size_t i = 0;
  for (const model::FeatureSpec& feature : spec.features) {
    gradients.emplace_back(feature.rows * feature.dimension, 0.0);
  }
  for (std::size_t row = 0; row < step.labels.size(); ++row) {
    for (std::size_t f = 0; f < gradients.size(); ++f) {
      const std::size_t dimension = spec.features[f].dimension;
      for (std::size_t k = 0; k < dimension; ++k) {
        gradients[f][step.keys[f][row] * dimension + k] += x0_gradient[i++];
      }
    }
  }
  return gradients;
}

TEST_P(ReferenceGolden, ReproducesTheCaseInDoublePrecision) {
  const auto golden = ReadGoldenCase(GetParam());
  ASSERT_TRUE(golden.ok()) << golden.status().ToString();
  const model::ModelSpec& spec = golden->spec;
  // float to decimal and back, so that .01 is .01 and not the float next to it.
  const auto decimal = [](float value) { return std::stod(fmt::format("{}", value)); };
  const ReferenceAdam::Options options{decimal(golden->learning_rate), decimal(golden->adam.beta_1),
                                       decimal(golden->adam.beta_2), decimal(golden->adam.epsilon)};
  Weights weights(golden->initial);
  ReferenceAdam dense_adam(options, weights.dense.size());
  std::vector<ReferenceAdam> table_adam;
  for (const Vector& table : weights.tables) table_adam.emplace_back(options, table.size());

  for (const GoldenStep& step : golden->steps) {
    const std::size_t rows = step.labels.size();
    const Vector labels(step.labels.begin(), step.labels.end());
    const ReferenceGradient gradient =
        ReferenceForwardBackward(spec, weights.dense, GatherX0(spec, step, weights.tables), labels,
                                 2.0 / static_cast<double>(rows));
    for (std::size_t i = 0; i < rows; ++i) {
      EXPECT_NEAR(gradient.predictions[i], step.predictions[i], 3e-6);
    }
    EXPECT_NEAR(gradient.squared_error / static_cast<double>(rows), step.loss, 1e-5);
    const auto table_gradients = ScatterX0Gradient(spec, step, gradient.x0_gradient);
    dense_adam.Step(gradient.dense_gradient, weights.dense);
    for (std::size_t f = 0; f < weights.tables.size(); ++f) {
      table_adam[f].Step(table_gradients[f], weights.tables[f]);
    }
  }
  const Weights expected(golden->final);
  for (std::size_t i = 0; i < expected.dense.size(); ++i) {
    EXPECT_NEAR(weights.dense[i], expected.dense[i], 1e-6) << "dense parameter " << i;
  }
  for (std::size_t f = 0; f < expected.tables.size(); ++f) {
    for (std::size_t i = 0; i < expected.tables[f].size(); ++i) {
      EXPECT_NEAR(weights.tables[f][i], expected.tables[f][i], 1e-6)
          << spec.features[f].name << ", value " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, ReferenceGolden, ::testing::ValuesIn(GoldenFiles()),
                         [](const auto& test) { return GoldenTestName(test.param, test.index); });

}  // namespace
}  // namespace dcn::testing
