#include "worker/model/elementwise.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "common/vectorize.h"

namespace dcn::model {
namespace {

float Activate(Activation activation, float z) {
  switch (activation) {
    case Activation::kNone:
      return z;
    case Activation::kRelu:
      return z > 0 ? z : 0;
    case Activation::kTanh:
      return std::tanh(z);
    case Activation::kSigmoid:
      return 1.0F / (1.0F + std::exp(-z));
  }
  return z;
}

// The derivative, from the activation's value.
template <Activation kActivation>
float Slope(float a) {
  if constexpr (kActivation == Activation::kRelu) return a > 0 ? 1.0F : 0.0F;
  if constexpr (kActivation == Activation::kTanh) return 1.0F - a * a;
  if constexpr (kActivation == Activation::kSigmoid) return a * (1.0F - a);
  return 1.0F;
}

template <Activation kActivation, bool kIsFirst, bool kIsLast, typename Operand>
void BackwardRows(float diag_scale, std::size_t rows, std::size_t width,
                  const CrossBackwardArguments<Operand>& arguments) {
  float* const bias_gradient = arguments.bias_gradient;
  std::fill_n(bias_gradient, width, 0.0F);
  for (std::size_t row = 0; row < rows; ++row) {
    const std::size_t start = row * width;
    const float* const x0 = arguments.x0 + start;
    const float* const x = kIsFirst ? x0 : arguments.x + start;
    const float* const a = arguments.a + start;
    const float* const g = arguments.y_gradient + start;
    Operand* const z_gradient = arguments.z_gradient + start;
    float* const x0_gradient = arguments.x0_gradient + start;
    float* const x_gradient = kIsFirst ? nullptr : arguments.x_gradient + start;
    DCN_INDEPENDENT_ITERATIONS
    for (std::size_t i = 0; i < width; ++i) {
      const float gradient = g[i];
      const float through_z = gradient * x0[i] * Slope<kActivation>(a[i]);
      const float through_x0 = gradient * (a[i] + diag_scale * x[i]);
      const float through_x = gradient * (1.0F + diag_scale * x0[i]);
      const float both = kIsFirst ? through_x0 + through_x : through_x0;
      z_gradient[i] = FromFloat<Operand>(through_z);
      bias_gradient[i] += through_z;
      x0_gradient[i] = kIsLast ? both : x0_gradient[i] + both;
      if constexpr (!kIsFirst) x_gradient[i] = through_x;
    }
  }
}

template <Activation kActivation, bool kIsFirst, typename Operand>
void BackwardLayer(float diag_scale, std::size_t rows, std::size_t width, bool is_last,
                   const CrossBackwardArguments<Operand>& arguments) {
  if (is_last) {
    BackwardRows<kActivation, kIsFirst, true>(diag_scale, rows, width, arguments);
  } else {
    BackwardRows<kActivation, kIsFirst, false>(diag_scale, rows, width, arguments);
  }
}

template <bool kIsFirst, typename Operand>
void BackwardByActivation(const CrossLayerSpec& layer, std::size_t rows, std::size_t width,
                          bool is_last, const CrossBackwardArguments<Operand>& arguments) {
  const float diag_scale = layer.diag_scale;
  switch (layer.preactivation) {
    case Activation::kNone:
      return BackwardLayer<Activation::kNone, kIsFirst>(diag_scale, rows, width, is_last,
                                                        arguments);
    case Activation::kRelu:
      return BackwardLayer<Activation::kRelu, kIsFirst>(diag_scale, rows, width, is_last,
                                                        arguments);
    case Activation::kTanh:
      return BackwardLayer<Activation::kTanh, kIsFirst>(diag_scale, rows, width, is_last,
                                                        arguments);
    case Activation::kSigmoid:
      return BackwardLayer<Activation::kSigmoid, kIsFirst>(diag_scale, rows, width, is_last,
                                                           arguments);
  }
}

// Sixteen running sums, folded in a fixed tree: the same bits for any vector width.
float Dot(const float* a, const float* b, std::size_t width) {
  constexpr std::size_t kLanes = 16;
  std::array<float, kLanes> sums{};
  std::size_t i = 0;
  for (; i + kLanes <= width; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  for (std::size_t lane = 0; i + lane < width; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::size_t lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
  }
  return sums[0];
}

}  // namespace

void Round(std::size_t count, const float* from, Bfloat16* to) {
  DCN_INDEPENDENT_ITERATIONS
  for (std::size_t i = 0; i < count; ++i) to[i] = ToBfloat16(from[i]);
}

template <typename Operand>
void CrossForward(const CrossLayerSpec& layer, std::size_t count, const float* x0, const float* x,
                  float* z, Operand* y) {
  if (layer.preactivation != Activation::kNone) {
    for (std::size_t i = 0; i < count; ++i) z[i] = Activate(layer.preactivation, z[i]);
  }
  const float diag_scale = layer.diag_scale;
  DCN_INDEPENDENT_ITERATIONS
  for (std::size_t i = 0; i < count; ++i) {
    y[i] = FromFloat<Operand>(x0[i] * (z[i] + diag_scale * x[i]) + x[i]);
  }
}

template <typename Operand>
void CrossBackward(const CrossLayerSpec& layer, std::size_t rows, std::size_t width, bool is_last,
                   const CrossBackwardArguments<Operand>& arguments) {
  BackwardByActivation<false>(layer, rows, width, is_last, arguments);
}

template <typename Operand>
void FirstCrossBackward(const CrossLayerSpec& layer, std::size_t rows, std::size_t width,
                        bool is_last, const CrossBackwardArguments<Operand>& arguments) {
  BackwardByActivation<true>(layer, rows, width, is_last, arguments);
}

void LogitForward(std::size_t rows, std::size_t width, const float* h, const float* kernel,
                  float bias, float* predictions) {
  for (std::size_t row = 0; row < rows; ++row) {
    predictions[row] = Dot(h + row * width, kernel, width) + bias;
  }
}

void LogitBackward(std::size_t rows, std::size_t width, const float* prediction_gradient,
                   const float* h, const float* kernel, float* h_gradient, float* kernel_gradient,
                   float* bias_gradient) {
  std::fill_n(kernel_gradient, width, 0.0F);
  float bias_sum = 0;
  for (std::size_t row = 0; row < rows; ++row) {
    const float gradient = prediction_gradient[row];
    const float* const h_row = h + row * width;
    float* const h_gradient_row = h_gradient + row * width;
    bias_sum += gradient;
    DCN_INDEPENDENT_ITERATIONS
    for (std::size_t i = 0; i < width; ++i) {
      h_gradient_row[i] = gradient * kernel[i];
      kernel_gradient[i] += gradient * h_row[i];
    }
  }
  *bias_gradient = bias_sum;
}

template <typename Operand>
void LogitReluBackward(std::size_t rows, std::size_t width, const float* prediction_gradient,
                       const float* h, const float* kernel, Operand* z_gradient,
                       float* z_bias_gradient, float* kernel_gradient, float* bias_gradient) {
  std::fill_n(z_bias_gradient, width, 0.0F);
  std::fill_n(kernel_gradient, width, 0.0F);
  float bias_sum = 0;
  for (std::size_t row = 0; row < rows; ++row) {
    const float gradient = prediction_gradient[row];
    const float* const h_row = h + row * width;
    Operand* const z_gradient_row = z_gradient + row * width;
    bias_sum += gradient;
    DCN_INDEPENDENT_ITERATIONS
    for (std::size_t i = 0; i < width; ++i) {
      const float masked = h_row[i] > 0 ? gradient * kernel[i] : 0.0F;
      z_gradient_row[i] = FromFloat<Operand>(masked);
      z_bias_gradient[i] += masked;
      kernel_gradient[i] += gradient * h_row[i];
    }
  }
  *bias_gradient = bias_sum;
}

template <typename Operand>
void ReluBackward(std::size_t rows, std::size_t width, const Operand* h, Operand* gradient,
                  float* bias_gradient) {
  std::fill_n(bias_gradient, width, 0.0F);
  for (std::size_t row = 0; row < rows; ++row) {
    const Operand* const h_row = h + row * width;
    Operand* const gradient_row = gradient + row * width;
    DCN_INDEPENDENT_ITERATIONS
    for (std::size_t i = 0; i < width; ++i) {
      const float masked = ToFloat(h_row[i]) > 0 ? ToFloat(gradient_row[i]) : 0.0F;
      gradient_row[i] = FromFloat<Operand>(masked);
      bias_gradient[i] += masked;
    }
  }
}

double SquaredError(std::size_t rows, const float* predictions, const float* labels,
                    float gradient_scale, float* prediction_gradient) {
  double sum = 0;
  for (std::size_t row = 0; row < rows; ++row) {
    const float error = predictions[row] - labels[row];
    sum += static_cast<double>(error) * static_cast<double>(error);
    if (prediction_gradient != nullptr) prediction_gradient[row] = gradient_scale * error;
  }
  return sum;
}

#define DCN_INSTANTIATE(Operand)                                                             \
  template void CrossForward(const CrossLayerSpec&, std::size_t, const float*, const float*, \
                             float*, Operand*);                                              \
  template void CrossBackward(const CrossLayerSpec&, std::size_t, std::size_t, bool,         \
                              const CrossBackwardArguments<Operand>&);                       \
  template void FirstCrossBackward(const CrossLayerSpec&, std::size_t, std::size_t, bool,    \
                                   const CrossBackwardArguments<Operand>&);                  \
  template void LogitReluBackward(std::size_t, std::size_t, const float*, const float*,      \
                                  const float*, Operand*, float*, float*, float*);           \
  template void ReluBackward(std::size_t, std::size_t, const Operand*, Operand*, float*)
DCN_INSTANTIATE(float);
DCN_INSTANTIATE(Bfloat16);
#undef DCN_INSTANTIATE

}  // namespace dcn::model
