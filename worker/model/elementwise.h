// The elementwise parts of the Deep & Cross Network over one slice: what stands between the matrix
// products. Formulas: CrossLayerSpec (model_spec.h).
//
// All matrices are row-major [rows, width]. Column sums run over the rows in order; dot products
// over sixteen fixed lanes. Nothing here depends on the instruction set. Arithmetic and column sums
// are float's; an Element, float or Bfloat16, is rounded when it is written.
#pragma once

#include <cstddef>

#include "worker/model/bfloat16.h"
#include "worker/model/model_spec.h"

namespace dcn::model {

/// Rounds `count` values.
void Round(std::size_t count, const float* from, Bfloat16* to);

/// z (in: x W + b) becomes a = act(z); y = x0 * (a + diag_scale * x) + x. y may not alias.
template <typename Element>
void CrossForward(const CrossLayerSpec& layer, std::size_t count, const Element* x0,
                  const Element* x, Element* z, Element* y);

/// Backward of one cross layer, but for its products. With g the gradient of y:
///   z_gradient   = g * x0 * act'(z)
///   x0_gradient += g * (a + diag_scale * x)        (or =, when is_last)
///   x_gradient   = g * (1 + diag_scale * x0)       (without the part through W)
/// and bias_gradient[width] = column sums of z_gradient, not rounded. x_gradient may be g itself,
/// and z_gradient a.
template <typename Element>
struct CrossBackwardArguments {
  const Element* x0;
  const Element* x;
  const Element* a;  // as CrossForward left it
  const Element* y_gradient;
  Element* z_gradient;
  Element* x0_gradient;
  Element* x_gradient;
  float* bias_gradient;
};
/// is_last: the layer nearest to the deep layers, the first one of the backward pass.
template <typename Element>
void CrossBackward(const CrossLayerSpec& layer, std::size_t rows, std::size_t width, bool is_last,
                   const CrossBackwardArguments<Element>& arguments);

/// Backward of the first cross layer, whose x is x0: both gradients fall together into
///   x0_gradient (+)= g * (a + diag_scale * x0) + g * (1 + diag_scale * x0).
template <typename Element>
void FirstCrossBackward(const CrossLayerSpec& layer, std::size_t rows, std::size_t width,
                        bool is_last, const CrossBackwardArguments<Element>& arguments);

/// prediction = h . kernel + bias for each row of h[rows, width].
template <typename Element>
void LogitForward(std::size_t rows, std::size_t width, const Element* h, const float* kernel,
                  float bias, float* predictions);

/// Backward of the logit: h_gradient[rows, width] = prediction_gradient x kernel, and the gradients
/// of kernel [width] and bias [1], summed over the rows.
template <typename Element>
void LogitBackward(std::size_t rows, std::size_t width, const float* prediction_gradient,
                   const Element* h, const float* kernel, Element* h_gradient,
                   float* kernel_gradient, float* bias_gradient);

/// The same where h = ReLU(z): z_gradient instead of h_gradient, and z_bias_gradient[width] = its
/// column sums, not rounded. z_gradient may be h itself.
template <typename Element>
void LogitReluBackward(std::size_t rows, std::size_t width, const float* prediction_gradient,
                       const Element* h, const float* kernel, Element* z_gradient,
                       float* z_bias_gradient, float* kernel_gradient, float* bias_gradient);

/// Backward of a ReLU: zeroes the gradient where h <= 0; bias_gradient[width] = its column sums.
template <typename Element>
void ReluBackward(std::size_t rows, std::size_t width, const Element* h, Element* gradient,
                  float* bias_gradient);

/// Squared error of the slice (in double, rows in order) and the gradient of the batch's loss.
double SquaredError(std::size_t rows, const float* predictions, const float* labels,
                    float gradient_scale, float* prediction_gradient);

}  // namespace dcn::model
