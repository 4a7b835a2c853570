#include "worker/model/elementwise.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "common/lanes.h"

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
Lanes Slope(Lanes a) {
  const Lanes one = EveryLane(1.0F);
  if constexpr (kActivation == Activation::kRelu) return Keep(a > 0.0F, one);
  if constexpr (kActivation == Activation::kTanh) return one - a * a;
  if constexpr (kActivation == Activation::kSigmoid) return a * (one - a);
  return one;
}

// sums += lanes
template <typename Count>
void AddLanes(Lanes lanes, float* sums, Count count) {
  StoreLanes(LoadLanes(sums, count) + lanes, sums, count);
}

template <Activation kActivation, bool kIsFirst, bool kIsLast, typename Element>
void BackwardRows(float diag_scale, std::size_t rows, std::size_t width,
                  const CrossBackwardArguments<Element>& arguments) {
  float* const bias_gradient = arguments.bias_gradient;
  std::fill_n(bias_gradient, width, 0.0F);
  for (std::size_t row = 0; row < rows; ++row) {
    const std::size_t start = row * width;
    const Element* const x0_row = arguments.x0 + start;
    const Element* const x_row = kIsFirst ? x0_row : arguments.x + start;
    const Element* const a_row = arguments.a + start;
    const Element* const g_row = arguments.y_gradient + start;
    Element* const z_gradient = arguments.z_gradient + start;
    Element* const x0_gradient = arguments.x0_gradient + start;
    Element* const x_gradient = kIsFirst ? nullptr : arguments.x_gradient + start;
    ForLanes(width, [&](std::size_t i, auto count) {
      const Lanes g = LoadLanes(g_row + i, count);
      const Lanes x0 = LoadLanes(x0_row + i, count);
      const Lanes a = LoadLanes(a_row + i, count);
      const Lanes x = LoadLanes(x_row + i, count);
      const Lanes through_z = g * x0 * Slope<kActivation>(a);
      const Lanes through_x = g * (1.0F + diag_scale * x0);
      Lanes sum = g * (a + diag_scale * x);
      if constexpr (kIsFirst) sum = sum + through_x;
      if constexpr (!kIsLast) sum = LoadLanes(x0_gradient + i, count) + sum;
      StoreLanes(through_z, z_gradient + i, count);
      AddLanes(through_z, bias_gradient + i, count);
      StoreLanes(sum, x0_gradient + i, count);
      if constexpr (!kIsFirst) StoreLanes(through_x, x_gradient + i, count);
    });
  }
}

template <Activation kActivation, bool kIsFirst, typename Element>
void BackwardLayer(float diag_scale, std::size_t rows, std::size_t width, bool is_last,
                   const CrossBackwardArguments<Element>& arguments) {
  if (is_last) {
    BackwardRows<kActivation, kIsFirst, true>(diag_scale, rows, width, arguments);
  } else {
    BackwardRows<kActivation, kIsFirst, false>(diag_scale, rows, width, arguments);
  }
}

template <bool kIsFirst, typename Element>
void BackwardByActivation(const CrossLayerSpec& layer, std::size_t rows, std::size_t width,
                          bool is_last, const CrossBackwardArguments<Element>& arguments) {
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
template <typename Element>
float Dot(const Element* a, const float* b, std::size_t width) {
  Lanes sums = {};
  ForLanes(width, [&](std::size_t i, auto count) {
    sums = sums + LoadLanes(a + i, count) * LoadLanes(b + i, count);
  });
  std::array<float, kLanes> folded;
  StoreLanes(sums, folded.data());
  for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::size_t lane = 0; lane < half; ++lane) folded[lane] += folded[lane + half];
  }
  return folded[0];
}

}  // namespace

void Round(std::size_t count, const float* from, Bfloat16* to) {
  ForLanes(count, [&](std::size_t i, auto lanes) {
    StoreLanes(LoadLanes(from + i, lanes), to + i, lanes);
  });
}

template <typename Element>
void CrossForward(const CrossLayerSpec& layer, std::size_t count, const Element* x0,
                  const Element* x, Element* z, Element* y) {
  if (layer.preactivation != Activation::kNone) {
    for (std::size_t i = 0; i < count; ++i) {
      z[i] = FromFloat<Element>(Activate(layer.preactivation, ToFloat(z[i])));
    }
  }
  const float diag_scale = layer.diag_scale;
  ForLanes(count, [&](std::size_t i, auto lanes) {
    const Lanes x_i = LoadLanes(x + i, lanes);
    const Lanes u = LoadLanes(z + i, lanes) + diag_scale * x_i;
    StoreLanes(LoadLanes(x0 + i, lanes) * u + x_i, y + i, lanes);
  });
}

template <typename Element>
void CrossBackward(const CrossLayerSpec& layer, std::size_t rows, std::size_t width, bool is_last,
                   const CrossBackwardArguments<Element>& arguments) {
  BackwardByActivation<false>(layer, rows, width, is_last, arguments);
}

template <typename Element>
void FirstCrossBackward(const CrossLayerSpec& layer, std::size_t rows, std::size_t width,
                        bool is_last, const CrossBackwardArguments<Element>& arguments) {
  BackwardByActivation<true>(layer, rows, width, is_last, arguments);
}

template <typename Element>
void LogitForward(std::size_t rows, std::size_t width, const Element* h, const float* kernel,
                  float bias, float* predictions) {
  for (std::size_t row = 0; row < rows; ++row) {
    predictions[row] = Dot(h + row * width, kernel, width) + bias;
  }
}

template <typename Element>
void LogitBackward(std::size_t rows, std::size_t width, const float* prediction_gradient,
                   const Element* h, const float* kernel, Element* h_gradient,
                   float* kernel_gradient, float* bias_gradient) {
  std::fill_n(kernel_gradient, width, 0.0F);
  float bias_sum = 0;
  for (std::size_t row = 0; row < rows; ++row) {
    const float gradient = prediction_gradient[row];
    const Element* const h_row = h + row * width;
    Element* const h_gradient_row = h_gradient + row * width;
    bias_sum += gradient;
    ForLanes(width, [&](std::size_t i, auto count) {
      StoreLanes(gradient * LoadLanes(kernel + i, count), h_gradient_row + i, count);
      AddLanes(gradient * LoadLanes(h_row + i, count), kernel_gradient + i, count);
    });
  }
  *bias_gradient = bias_sum;
}

template <typename Element>
void LogitReluBackward(std::size_t rows, std::size_t width, const float* prediction_gradient,
                       const Element* h, const float* kernel, Element* z_gradient,
                       float* z_bias_gradient, float* kernel_gradient, float* bias_gradient) {
  std::fill_n(z_bias_gradient, width, 0.0F);
  std::fill_n(kernel_gradient, width, 0.0F);
  float bias_sum = 0;
  for (std::size_t row = 0; row < rows; ++row) {
    const float gradient = prediction_gradient[row];
    const Element* const h_row = h + row * width;
    Element* const z_gradient_row = z_gradient + row * width;
    bias_sum += gradient;
    ForLanes(width, [&](std::size_t i, auto count) {
      const Lanes h_i = LoadLanes(h_row + i, count);
      const Lanes masked = Keep(h_i > 0.0F, gradient * LoadLanes(kernel + i, count));
      StoreLanes(masked, z_gradient_row + i, count);
      AddLanes(masked, z_bias_gradient + i, count);
      AddLanes(gradient * h_i, kernel_gradient + i, count);
    });
  }
  *bias_gradient = bias_sum;
}

template <typename Element>
void ReluBackward(std::size_t rows, std::size_t width, const Element* h, Element* gradient,
                  float* bias_gradient) {
  std::fill_n(bias_gradient, width, 0.0F);
  for (std::size_t row = 0; row < rows; ++row) {
    const Element* const h_row = h + row * width;
    Element* const gradient_row = gradient + row * width;
    ForLanes(width, [&](std::size_t i, auto count) {
      const Lanes masked =
          Keep(LoadLanes(h_row + i, count) > 0.0F, LoadLanes(gradient_row + i, count));
      StoreLanes(masked, gradient_row + i, count);
      AddLanes(masked, bias_gradient + i, count);
    });
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

#define DCN_INSTANTIATE(Element)                                                                 \
  template void CrossForward(const CrossLayerSpec&, std::size_t, const Element*, const Element*, \
                             Element*, Element*);                                                \
  template void CrossBackward(const CrossLayerSpec&, std::size_t, std::size_t, bool,             \
                              const CrossBackwardArguments<Element>&);                           \
  template void FirstCrossBackward(const CrossLayerSpec&, std::size_t, std::size_t, bool,        \
                                   const CrossBackwardArguments<Element>&);                      \
  template void LogitForward(std::size_t, std::size_t, const Element*, const float*, float,      \
                             float*);                                                            \
  template void LogitBackward(std::size_t, std::size_t, const float*, const Element*,            \
                              const float*, Element*, float*, float*);                           \
  template void LogitReluBackward(std::size_t, std::size_t, const float*, const Element*,        \
                                  const float*, Element*, float*, float*, float*);               \
  template void ReluBackward(std::size_t, std::size_t, const Element*, Element*, float*)
DCN_INSTANTIATE(float);
DCN_INSTANTIATE(Bfloat16);
#undef DCN_INSTANTIATE

}  // namespace dcn::model
