// The gradient of a run's first step, seen from outside.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace dcn::testing {

/// Gradients by the names of model.safetensors.
using NamedGradients = std::map<std::string, std::vector<double>>;

/// Runs dcn_worker with `arguments` for one step of plain gradient descent and divides what it took
/// from the weights by the learning rate, which is so large that the weights' rounding hides little
/// of it. folder: for the results. Throws std::runtime_error where a run fails.
NamedGradients FirstStepGradients(const std::vector<std::string>& arguments,
                                  const std::string& folder);

/// Fails the current test unless the gradients are of the same tensors, none zero, and differ by at
/// most `tolerance`, relative to `expected` and in norm, in each tensor. Prints the largest.
void ExpectGradientsAgree(const NamedGradients& actual, const NamedGradients& expected,
                          double tolerance);

}  // namespace dcn::testing
