#include "tests/testing/first_step.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <stdexcept>

#include <gtest/gtest.h>

#include "common/file/safetensors.h"
#include "tests/testing/command.h"

namespace dcn::testing {
namespace {

constexpr double kLearningRate = 1000;  // the largest that dcn_worker takes

// The weights after one step.
NamedGradients WeightsAfterOneStep(std::vector<std::string> arguments,
                                   const std::string& learning_rate, const std::string& output) {
  arguments.insert(arguments.begin(), BuiltProgram("dcn_worker"));
  arguments.insert(arguments.end(), {"--optimizer", "sgd", "--max-steps", "1", "--learning-rate",
                                     learning_rate, "--output", output});
  const CommandResult run = RunCommand(arguments);
  if (run.exit_code != 0) throw std::runtime_error(run.err);
  const auto model = SafetensorsFile::Open(output + "/model.safetensors");
  if (!model.ok()) throw std::runtime_error(model.status().ToString());
  NamedGradients weights;
  for (const TensorView& tensor : model->tensors()) {
    weights[tensor.name].assign(tensor.values.begin(), tensor.values.end());
  }
  return weights;
}

}  // namespace

NamedGradients FirstStepGradients(const std::vector<std::string>& arguments,
                                  const std::string& folder) {
  // A step so small that it leaves the weights as they were.
  NamedGradients gradients = WeightsAfterOneStep(arguments, "1e-20", folder + "/before");
  const NamedGradients after =
      WeightsAfterOneStep(arguments, std::to_string(kLearningRate), folder + "/after");
  for (auto& [name, values] : gradients) {
    const std::vector<double>& moved = after.at(name);
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = (values[i] - moved.at(i)) / kLearningRate;
    }
  }
  return gradients;
}

void ExpectGradientsAgree(const NamedGradients& actual, const NamedGradients& expected,
                          double tolerance) {
  ASSERT_FALSE(expected.empty());
  ASSERT_EQ(actual.size(), expected.size());
  double largest = 0;
  for (const auto& [name, gradient] : expected) {
    ASSERT_TRUE(actual.contains(name)) << name;
    const std::vector<double>& other = actual.at(name);
    ASSERT_EQ(other.size(), gradient.size()) << name;
    double square = 0;
    double error = 0;
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      square += gradient[i] * gradient[i];
      error += (other[i] - gradient[i]) * (other[i] - gradient[i]);
    }
    EXPECT_GT(square, 0) << name;
    EXPECT_LE(std::sqrt(error / square), tolerance) << name;
    largest = std::max(largest, std::sqrt(error / square));
  }
  std::printf("largest relative difference of a tensor's gradient: %.2g\n", largest);
}

}  // namespace dcn::testing
