// The dense model and its gradients the slow, obvious way: one row at a time, plain loops, double
// precision. What both engines are tested against; itself tested by numerical differentiation and
// against the golden cases.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "worker/model/model_spec.h"

namespace dcn::testing {

/// What ReferenceForwardBackward computes; sizes as in model::SliceGradient.
struct ReferenceGradient {
  std::vector<double> predictions;     // [rows]
  std::vector<double> dense_gradient;  // [dense_size]
  std::vector<double> x0_gradient;     // [rows, input_width]
  double squared_error = 0;
};

/// Predictions [rows] for x0 [rows, input_width]. parameters: [dense_size], in model order.
std::vector<double> ReferenceForward(const model::ModelSpec& spec,
                                     std::span<const double> parameters,
                                     std::span<const double> x0);

/// The smallest |z| in front of any ReLU for one row x0 [input_width]; infinite where there is
/// none. Where it is near the rounding error, float32 and double may take different sides of the
/// kink.
double ReferenceReluMargin(const model::ModelSpec& spec, std::span<const double> parameters,
                           std::span<const double> x0);

/// Predictions, squared error and gradients of a slice: labels [rows]; the derivative of the loss
/// by a prediction is gradient_scale * (prediction - label).
ReferenceGradient ReferenceForwardBackward(const model::ModelSpec& spec,
                                           std::span<const double> parameters,
                                           std::span<const double> x0,
                                           std::span<const double> labels, double gradient_scale);

/// Adam in Keras form over one vector of weights, as dense_model's optimizer should do it.
class ReferenceAdam {
 public:
  struct Options {
    double learning_rate = 0;
    double beta_1 = 0;
    double beta_2 = 0;
    double epsilon = 0;
  };

  ReferenceAdam(const Options& options, std::size_t size)
      : options_(options), m_(size, 0.0), v_(size, 0.0) {}

  /// Moves every weight by one step. gradient: as long as weights.
  void Step(std::span<const double> gradient, std::span<double> weights);

 private:
  const Options options_;
  int step_ = 0;
  std::vector<double> m_;
  std::vector<double> v_;
};

}  // namespace dcn::testing
