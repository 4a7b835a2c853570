#include "tests/testing/reference_model.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "common/check.h"

namespace dcn::testing {
namespace {

using model::Activation;
using model::ModelSpec;
using Vector = std::vector<double>;

double Activate(Activation activation, double z) {
  switch (activation) {
    case Activation::kNone:
      return z;
    case Activation::kRelu:
      return z > 0 ? z : 0;
    case Activation::kTanh:
      return std::tanh(z);
    case Activation::kSigmoid:
      return 1 / (1 + std::exp(-z));
  }
  return 0;
}

// The derivative at z, where the activation's value is `value`.
double ActivationSlope(Activation activation, double z, double value) {
  switch (activation) {
    case Activation::kNone:
      return 1;
    case Activation::kRelu:
      return z > 0 ? 1 : 0;
    case Activation::kTanh:
      return 1 - value * value;
    case Activation::kSigmoid:
      return value * (1 - value);
  }
  return 0;
}

// One kernel [in, out] or bias [out] with the place where its gradient is added up.
struct Tensor {
  std::span<const double> value;
  std::span<double> gradient;
};

// Hands out the parameters in model order.
class ParameterCursor {
 public:
  ParameterCursor(std::span<const double> values, std::span<double> gradient)
      : values_(values), gradient_(gradient) {}

  Tensor Next(std::size_t size) {
    const Tensor tensor{values_.subspan(offset_, size), gradient_.subspan(offset_, size)};
    offset_ += size;
    return tensor;
  }

 private:
  std::span<const double> values_;
  std::span<double> gradient_;
  std::size_t offset_ = 0;
};

// x W for one row.
Vector TimesKernel(const Vector& x, std::span<const double> kernel, std::size_t out) {
  Vector product(out, 0.0);
  for (std::size_t i = 0; i < x.size(); ++i) {
    for (std::size_t j = 0; j < out; ++j) product[j] += x[i] * kernel[i * out + j];
  }
  return product;
}

// The gradient of x for z = x W and the gradient dz; adds the kernel's.
Vector BackThroughKernel(const Vector& x, const Tensor& kernel, const Vector& dz) {
  Vector dx(x.size(), 0.0);
  for (std::size_t i = 0; i < x.size(); ++i) {
    for (std::size_t j = 0; j < dz.size(); ++j) {
      dx[i] += dz[j] * kernel.value[i * dz.size() + j];
      kernel.gradient[i * dz.size() + j] += x[i] * dz[j];
    }
  }
  return dx;
}

void AddTo(std::span<double> sum, const Vector& values) {
  for (std::size_t i = 0; i < values.size(); ++i) sum[i] += values[i];
}

struct CrossLayer {
  model::CrossLayerSpec spec;
  Tensor kernel_u;  // used where projection_dimension is not 0
  Tensor kernel;    // W, or V
  Tensor bias;
  // Of the row that went forward last:
  Vector x, left, z, activated, u;
};

struct DeepLayer {
  Activation activation = Activation::kRelu;  // kNone for the logit
  std::size_t width = 0;
  Tensor kernel;
  Tensor bias;
  Vector x, z;
};

// The layers over a flat vector of parameters, with what one row's forward leaves for its backward.
class RowModel {
 public:
  RowModel(const ModelSpec& spec, std::span<const double> parameters, std::span<double> gradient) {
    ParameterCursor cursor(parameters, gradient);
    const std::size_t width = spec.input_width();
    for (const model::CrossLayerSpec& layer_spec : spec.cross) {
      CrossLayer layer;
      layer.spec = layer_spec;
      const std::size_t rank = layer_spec.projection_dimension;
      if (rank != 0) layer.kernel_u = cursor.Next(width * rank);
      layer.kernel = cursor.Next((rank != 0 ? rank : width) * width);
      layer.bias = cursor.Next(width);
      cross_.push_back(std::move(layer));
    }
    std::size_t in = width;
    for (const std::size_t out : spec.deep) {
      deep_.push_back({Activation::kRelu, out, cursor.Next(in * out), cursor.Next(out), {}, {}});
      in = out;
    }
    deep_.push_back({Activation::kNone, 1, cursor.Next(in), cursor.Next(1), {}, {}});
  }

  double Forward(const Vector& x0) {
    x0_ = x0;
    Vector x = x0;
    for (CrossLayer& layer : cross_) x = ForwardCross(layer, x);
    for (DeepLayer& layer : deep_) {
      layer.x = x;
      layer.z = TimesKernel(x, layer.kernel.value, layer.width);
      AddTo(layer.z, Vector(layer.bias.value.begin(), layer.bias.value.end()));
      x.resize(layer.width);
      for (std::size_t j = 0; j < x.size(); ++j) x[j] = Activate(layer.activation, layer.z[j]);
    }
    return x[0];
  }

  // Of the row that went forward last.
  [[nodiscard]] double ReluMargin() const {
    double margin = std::numeric_limits<double>::infinity();
    const auto look_at = [&](Activation activation, const Vector& z) {
      if (activation != Activation::kRelu) return;
      for (const double value : z) margin = std::min(margin, std::abs(value));
    };
    for (const CrossLayer& layer : cross_) look_at(layer.spec.preactivation, layer.z);
    for (const DeepLayer& layer : deep_) look_at(layer.activation, layer.z);
    return margin;
  }

  // Adds the gradients of the parameters; returns that of x0.
  Vector Backward(double prediction_gradient) {
    Vector dx{prediction_gradient};
    for (auto layer = deep_.rbegin(); layer != deep_.rend(); ++layer) {
      for (std::size_t j = 0; j < dx.size(); ++j) {
        dx[j] *= ActivationSlope(layer->activation, layer->z[j], 0);
      }
      AddTo(layer->bias.gradient, dx);
      dx = BackThroughKernel(layer->x, layer->kernel, dx);
    }
    Vector dx0(x0_.size(), 0.0);
    for (auto layer = cross_.rbegin(); layer != cross_.rend(); ++layer) {
      dx = BackwardCross(*layer, dx, dx0);
    }
    AddTo(dx0, dx);
    return dx0;
  }

 private:
  Vector ForwardCross(CrossLayer& layer, const Vector& x) const {
    layer.x = x;
    const std::size_t rank = layer.spec.projection_dimension;
    layer.left = rank != 0 ? TimesKernel(x, layer.kernel_u.value, rank) : x;
    layer.z = TimesKernel(layer.left, layer.kernel.value, x.size());
    layer.activated.resize(x.size());
    layer.u.resize(x.size());
    Vector y(x.size());
    for (std::size_t j = 0; j < x.size(); ++j) {
      layer.z[j] += layer.bias.value[j];
      layer.activated[j] = Activate(layer.spec.preactivation, layer.z[j]);
      layer.u[j] = layer.activated[j] + double{layer.spec.diag_scale} * x[j];
      y[j] = x0_[j] * layer.u[j] + x[j];
    }
    return y;
  }

  Vector BackwardCross(const CrossLayer& layer, const Vector& dy, Vector& dx0) const {
    Vector dz(dy.size());
    Vector dx(dy.size());
    for (std::size_t j = 0; j < dy.size(); ++j) {
      dx0[j] += dy[j] * layer.u[j];
      const double du = dy[j] * x0_[j];
      dx[j] = dy[j] + double{layer.spec.diag_scale} * du;
      dz[j] = du * ActivationSlope(layer.spec.preactivation, layer.z[j], layer.activated[j]);
    }
    AddTo(layer.bias.gradient, dz);
    const Vector dleft = BackThroughKernel(layer.left, layer.kernel, dz);
    const bool is_low_rank = layer.spec.projection_dimension != 0;
    AddTo(dx, is_low_rank ? BackThroughKernel(layer.x, layer.kernel_u, dleft) : dleft);
    return dx;
  }

  std::vector<CrossLayer> cross_;
  std::vector<DeepLayer> deep_;
  Vector x0_;
};

Vector Row(std::span<const double> matrix, std::size_t row, std::size_t width) {
  const auto begin = matrix.begin() + static_cast<std::ptrdiff_t>(row * width);
  return {begin, begin + static_cast<std::ptrdiff_t>(width)};
}

}  // namespace

std::vector<double> ReferenceForward(const ModelSpec& spec, std::span<const double> parameters,
                                     std::span<const double> x0) {
  const std::size_t width = spec.input_width();
  DCN_CHECK_EQ(x0.size() % width, 0U);
  Vector unused_gradient(parameters.size(), 0.0);
  RowModel row_model(spec, parameters, unused_gradient);
  Vector predictions;
  for (std::size_t row = 0; row < x0.size() / width; ++row) {
    predictions.push_back(row_model.Forward(Row(x0, row, width)));
  }
  return predictions;
}

double ReferenceReluMargin(const ModelSpec& spec, std::span<const double> parameters,
                           std::span<const double> x0) {
  Vector unused_gradient(parameters.size(), 0.0);
  RowModel row_model(spec, parameters, unused_gradient);
  row_model.Forward(Row(x0, 0, spec.input_width()));
  return row_model.ReluMargin();
}

ReferenceGradient ReferenceForwardBackward(const ModelSpec& spec,
                                           std::span<const double> parameters,
                                           std::span<const double> x0,
                                           std::span<const double> labels, double gradient_scale) {
  const std::size_t width = spec.input_width();
  DCN_CHECK_EQ(x0.size(), labels.size() * width);
  ReferenceGradient result;
  result.dense_gradient.assign(spec.dense_size(), 0.0);
  RowModel row_model(spec, parameters, result.dense_gradient);
  for (std::size_t row = 0; row < labels.size(); ++row) {
    const double prediction = row_model.Forward(Row(x0, row, width));
    const double error = prediction - labels[row];
    const Vector row_gradient = row_model.Backward(gradient_scale * error);
    result.predictions.push_back(prediction);
    result.squared_error += error * error;
    result.x0_gradient.insert(result.x0_gradient.end(), row_gradient.begin(), row_gradient.end());
  }
  return result;
}

void ReferenceAdam::Step(std::span<const double> gradient, std::span<double> weights) {
  DCN_CHECK_EQ(gradient.size(), m_.size());
  DCN_CHECK_EQ(weights.size(), m_.size());
  ++step_;
  const double rate = options_.learning_rate * std::sqrt(1 - std::pow(options_.beta_2, step_)) /
                      (1 - std::pow(options_.beta_1, step_));
  for (std::size_t i = 0; i < weights.size(); ++i) {
    m_[i] = options_.beta_1 * m_[i] + (1 - options_.beta_1) * gradient[i];
    v_[i] = options_.beta_2 * v_[i] + (1 - options_.beta_2) * gradient[i] * gradient[i];
    weights[i] -= rate * m_[i] / (std::sqrt(v_[i]) + options_.epsilon);
  }
}

}  // namespace dcn::testing
