#include "worker/model/onednn_model.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "common/aligned_floats.h"
#include "common/check.h"
#include "worker/model/elementwise.h"
#include "worker/model/onednn_linear.h"

namespace dcn::model {
namespace {

// One cross layer: `down` is x W + b itself when full, x U when low rank; `up` is then p V + b.
struct CrossLayer {
  CrossLayerSpec spec;
  std::unique_ptr<OnednnLinear> down;
  std::unique_ptr<OnednnLinear> up;  // null when full
  [[nodiscard]] const OnednnLinear& with_bias() const { return up ? *up : *down; }
};

// A thread's activations and gradients of one slice.
struct Workspace {
  std::vector<AlignedFloats> cross_outputs;      // x_1 .. x_L, [rows, width]
  std::vector<AlignedFloats> cross_activations;  // a of each cross layer, [rows, width]
  std::vector<AlignedFloats> cross_projections;  // x U, [rows, projection] (empty when full)
  std::vector<AlignedFloats> deep_outputs;       // [rows, outputs of the layer]
  std::vector<AlignedFloats> gradients;          // two, [rows, widest layer]
  std::vector<AlignedFloats> scratch;            // z_gradient, p_gradient: [rows, widest layer]
  AlignedFloats prediction_gradient;             // [rows]
};

class OnednnModel final : public DenseModel {
 public:
  OnednnModel(const ModelSpec& spec, int threads, std::size_t max_slice_rows);

  void SetParameters(std::span<const float> parameters, ThreadPool& pool) override;
  void Forward(int thread, std::span<const float> x0, std::span<float> predictions) override;
  void ForwardBackward(int thread, const TrainingSlice& slice, SliceGradient& out) override;
  [[nodiscard]] std::string engine_description() const override { return OnednnDescription(); }

 private:
  void MakeLayers(int threads);
  Workspace MakeWorkspace() const;
  std::unique_ptr<OnednnLinear> MakeLinear(const std::string& kernel, const std::string& bias,
                                           int threads) const;
  const float* RunForward(int thread, std::size_t rows, const float* x0, float* predictions);
  float* RunDeepBackward(int thread, std::size_t rows, const float* x0, SliceGradient& out);
  void RunCrossBackward(int thread, std::size_t rows, const float* x0, float* y_gradient,
                        SliceGradient& out);
  // Output of the cross layers, input of the deep layers.
  const float* CrossOutput(const Workspace& workspace, const float* x0) const {
    return cross_.empty() ? x0 : workspace.cross_outputs.back().get();
  }
  Workspace& workspace(int thread) { return workspaces_[static_cast<std::size_t>(thread)]; }

  const ModelSpec spec_;
  const std::size_t width_;
  const std::size_t max_rows_;
  const std::vector<DenseParameter> dense_;
  std::vector<CrossLayer> cross_;
  std::vector<std::unique_ptr<OnednnLinear>> deep_;
  std::vector<OnednnLinear*> linears_;  // all of them
  std::size_t widest_ = 0;              // of all layers' inputs and outputs
  std::size_t logit_width_ = 0;
  std::size_t logit_kernel_ = 0;  // offsets in the flat vector
  std::size_t logit_bias_ = 0;
  const float* parameters_ = nullptr;
  std::vector<Workspace> workspaces_;
};

OnednnModel::OnednnModel(const ModelSpec& spec, int threads, std::size_t max_slice_rows)
    : spec_(spec),
      width_(spec.input_width()),
      max_rows_(max_slice_rows),
      dense_(spec.DenseParameters()) {
  DCN_CHECK(spec.Validate().ok());
  DCN_CHECK_GE(threads, 1);
  DCN_CHECK_GE(max_slice_rows, 1U);
  MakeLayers(threads);
  for (int thread = 0; thread < threads; ++thread) workspaces_.push_back(MakeWorkspace());
}

const DenseParameter& Find(const std::vector<DenseParameter>& parameters, const std::string& name) {
  const auto found = std::find_if(parameters.begin(), parameters.end(),
                                  [&](const DenseParameter& p) { return p.name == name; });
  DCN_CHECK(found != parameters.end());
  return *found;
}

std::unique_ptr<OnednnLinear> OnednnModel::MakeLinear(const std::string& kernel,
                                                      const std::string& bias, int threads) const {
  const DenseParameter& weights = Find(dense_, kernel);
  LinearSpec linear;
  linear.inputs = weights.shape[0];
  linear.outputs = weights.shape[1];
  linear.kernel_offset = weights.offset;
  if (!bias.empty()) {
    linear.has_bias = true;
    linear.bias_offset = Find(dense_, bias).offset;
  }
  linear.has_relu = kernel.starts_with("deep/");
  // The gradient of a cross layer's x starts with the parts that bypass W.
  linear.adds_input_gradient = kernel.starts_with("cross/") && !kernel.ends_with("kernel_v");
  return std::make_unique<OnednnLinear>(linear, threads, max_rows_);
}

void OnednnModel::MakeLayers(int threads) {
  for (std::size_t i = 0; i < spec_.cross.size(); ++i) {
    const std::string prefix = fmt::format("cross/{}/", i);
    CrossLayer layer;
    layer.spec = spec_.cross[i];
    if (layer.spec.projection_dimension == 0) {
      layer.down = MakeLinear(prefix + "kernel", prefix + "bias", threads);
    } else {
      layer.down = MakeLinear(prefix + "kernel_u", "", threads);
      layer.up = MakeLinear(prefix + "kernel_v", prefix + "bias", threads);
    }
    cross_.push_back(std::move(layer));
  }
  for (std::size_t i = 0; i < spec_.deep.size(); ++i) {
    deep_.push_back(
        MakeLinear(fmt::format("deep/{}/kernel", i), fmt::format("deep/{}/bias", i), threads));
  }
  for (const CrossLayer& layer : cross_) {
    linears_.push_back(layer.down.get());
    if (layer.up) linears_.push_back(layer.up.get());
  }
  for (const auto& layer : deep_) linears_.push_back(layer.get());
  widest_ = width_;
  for (const OnednnLinear* linear : linears_) {
    widest_ = std::max({widest_, linear->spec().inputs, linear->spec().outputs});
  }
  const DenseParameter& logit = Find(dense_, "logit/kernel");
  logit_width_ = logit.shape[0];
  logit_kernel_ = logit.offset;
  logit_bias_ = Find(dense_, "logit/bias").offset;
}

Workspace OnednnModel::MakeWorkspace() const {
  Workspace workspace;
  for (const CrossLayer& layer : cross_) {
    workspace.cross_outputs.emplace_back(max_rows_ * width_);
    workspace.cross_activations.emplace_back(max_rows_ * width_);
    workspace.cross_projections.emplace_back(max_rows_ * layer.spec.projection_dimension);
  }
  for (const auto& layer : deep_) {
    workspace.deep_outputs.emplace_back(max_rows_ * layer->spec().outputs);
  }
  for (int i = 0; i < 2; ++i) {
    workspace.gradients.emplace_back(max_rows_ * widest_);
    workspace.scratch.emplace_back(max_rows_ * widest_);
  }
  workspace.prediction_gradient = AlignedFloats(max_rows_);
  return workspace;
}

void OnednnModel::SetParameters(std::span<const float> parameters, ThreadPool& pool) {
  DCN_CHECK_EQ(parameters.size(), spec_.dense_size());
  parameters_ = parameters.data();
  for (OnednnLinear* linear : linears_) linear->SetParameters(parameters);
  pool.ParallelFor(2 * linears_.size(), [this](int, std::size_t i) {
    OnednnLinear& linear = *linears_[i / 2];
    i % 2 == 0 ? linear.PackForward() : linear.PackBackward();
  });
}

// Returns the last hidden layer's output, the logit's input.
const float* OnednnModel::RunForward(int thread, std::size_t rows, const float* x0,
                                     float* predictions) {
  DCN_CHECK(parameters_ != nullptr);
  Workspace& workspace = this->workspace(thread);
  const float* x = x0;
  for (std::size_t i = 0; i < cross_.size(); ++i) {
    const CrossLayer& layer = cross_[i];
    float* const z = workspace.cross_activations[i].get();
    float* const y = workspace.cross_outputs[i].get();
    if (layer.up) {
      float* const projection = workspace.cross_projections[i].get();
      layer.down->Forward(thread, rows, x, projection);
      layer.up->Forward(thread, rows, projection, z);
    } else {
      layer.down->Forward(thread, rows, x, z);
    }
    CrossForward(layer.spec, rows * width_, x0, x, z, y);
    x = y;
  }
  for (std::size_t i = 0; i < deep_.size(); ++i) {
    float* const h = workspace.deep_outputs[i].get();
    deep_[i]->Forward(thread, rows, x, h);
    x = h;
  }
  LogitForward(rows, logit_width_, x, parameters_ + logit_kernel_, parameters_[logit_bias_],
               predictions);
  return x;
}

void OnednnModel::Forward(int thread, std::span<const float> x0, std::span<float> predictions) {
  const std::size_t rows = predictions.size();
  DCN_CHECK_LE(rows, max_rows_);
  DCN_CHECK_EQ(x0.size(), rows * width_);
  UseOneThreadPerProduct();
  RunForward(thread, rows, x0.data(), predictions.data());
}

void OnednnModel::ForwardBackward(int thread, const TrainingSlice& slice, SliceGradient& out) {
  const std::size_t rows = slice.labels.size();
  DCN_CHECK_LE(rows, max_rows_);
  DCN_CHECK_EQ(slice.x0.size(), rows * width_);
  DCN_CHECK_EQ(out.predictions.size(), rows);
  DCN_CHECK_EQ(out.dense_gradient.size(), spec_.dense_size());
  DCN_CHECK_EQ(out.x0_gradient.size(), rows * width_);
  UseOneThreadPerProduct();
  Workspace& workspace = this->workspace(thread);
  const float* const x0 = slice.x0.data();
  const float* const h = RunForward(thread, rows, x0, out.predictions.data());
  float* const prediction_gradient = workspace.prediction_gradient.get();
  out.squared_error = SquaredError(rows, out.predictions.data(), slice.labels.data(),
                                   slice.gradient_scale, prediction_gradient);

  // Without any layer between, the logit's input gradient is x0's already.
  const bool is_linear = deep_.empty() && cross_.empty();
  float* const h_gradient = is_linear ? out.x0_gradient.data() : workspace.gradients[0].get();
  LogitBackward(rows, logit_width_, prediction_gradient, h, parameters_ + logit_kernel_, h_gradient,
                out.dense_gradient.data() + logit_kernel_, out.dense_gradient.data() + logit_bias_);
  float* const cross_gradient = deep_.empty() ? h_gradient : RunDeepBackward(thread, rows, x0, out);
  if (!cross_.empty()) RunCrossBackward(thread, rows, x0, cross_gradient, out);
}

// From the last hidden layer's output gradient (in gradients[0]) to the cross output's.
float* OnednnModel::RunDeepBackward(int thread, std::size_t rows, const float* x0,
                                    SliceGradient& out) {
  Workspace& workspace = this->workspace(thread);
  float* const dense_gradient = out.dense_gradient.data();
  float* gradient = workspace.gradients[0].get();
  float* next = workspace.gradients[1].get();
  for (std::size_t i = deep_.size(); i-- > 0;) {
    const LinearSpec& layer = deep_[i]->spec();
    const float* const input =
        i > 0 ? workspace.deep_outputs[i - 1].get() : CrossOutput(workspace, x0);
    ReluBackward(rows, layer.outputs, workspace.deep_outputs[i].get(), gradient,
                 dense_gradient + layer.bias_offset);
    deep_[i]->KernelGradient(thread, rows, input, gradient, dense_gradient + layer.kernel_offset);
    if (i == 0 && cross_.empty()) next = out.x0_gradient.data();
    deep_[i]->InputGradient(thread, rows, gradient, next);
    std::swap(gradient, next);
  }
  return gradient;
}

void OnednnModel::RunCrossBackward(int thread, std::size_t rows, const float* x0, float* y_gradient,
                                   SliceGradient& out) {
  Workspace& workspace = this->workspace(thread);
  float* const dense_gradient = out.dense_gradient.data();
  float* const x0_gradient = out.x0_gradient.data();
  for (std::size_t i = cross_.size(); i-- > 0;) {
    const CrossLayer& layer = cross_[i];
    const float* const x = i > 0 ? workspace.cross_outputs[i - 1].get() : x0;
    float* const z_gradient = workspace.scratch[0].get();
    const CrossBackwardArguments arguments{
        .x0 = x0,
        .x = x,
        .a = workspace.cross_activations[i].get(),
        .y_gradient = y_gradient,
        .z_gradient = z_gradient,
        .x0_gradient = x0_gradient,
        .x_gradient = y_gradient,
        .bias_gradient = dense_gradient + layer.with_bias().spec().bias_offset};
    const bool is_last = i + 1 == cross_.size();
    if (i == 0) {
      FirstCrossBackward(layer.spec, rows, width_, is_last, arguments);
    } else {
      CrossBackward(layer.spec, rows, width_, is_last, arguments);
    }
    // The first layer's x is x0: its part through W goes straight into x0's gradient.
    float* const x_gradient = i == 0 ? x0_gradient : y_gradient;
    const float* down_gradient = z_gradient;
    if (layer.up) {
      float* const projection_gradient = workspace.scratch[1].get();
      layer.up->KernelGradient(thread, rows, workspace.cross_projections[i].get(), z_gradient,
                               dense_gradient + layer.up->spec().kernel_offset);
      layer.up->InputGradient(thread, rows, z_gradient, projection_gradient);
      down_gradient = projection_gradient;
    }
    layer.down->KernelGradient(thread, rows, x, down_gradient,
                               dense_gradient + layer.down->spec().kernel_offset);
    layer.down->InputGradient(thread, rows, down_gradient, x_gradient);
  }
}

}  // namespace

std::unique_ptr<DenseModel> MakeOnednnModel(const ModelSpec& spec, int threads,
                                            std::size_t max_slice_rows) {
  return std::make_unique<OnednnModel>(spec, threads, max_slice_rows);
}

}  // namespace dcn::model
