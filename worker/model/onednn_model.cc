#include "worker/model/onednn_model.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "common/aligned_floats.h"
#include "common/check.h"
#include "worker/model/bfloat16.h"
#include "worker/model/elementwise.h"
#include "worker/model/onednn_isa.h"
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

// A thread's activations and gradients of one slice, [rows, width of what it is]. What products
// read is of type Operand, float or Bfloat16; what else is computed with is float. Of two that
// would be the same, one is empty.
template <typename Operand>
struct Workspace {
  using Operands = AlignedBlock<Operand>;
  Operands x0;                                   // rounded
  std::vector<AlignedFloats> cross_outputs;      // x_1 .. x_L
  std::vector<Operands> cross_operands;          // the same, rounded
  std::vector<AlignedFloats> cross_activations;  // a of each cross layer
  std::vector<Operands> cross_projections;       // x U of each (empty when full)
  std::vector<Operands> deep_outputs;            // of all layers but the last
  AlignedFloats last_output;                     // the last one's
  AlignedFloats y_gradient;                      // of cross outputs
  std::vector<Operands> gradients;               // two, as wide as the widest layer
  AlignedFloats prediction_gradient;             // [rows]
  // What the forward pass gave to each layer's product, for the backward pass.
  std::vector<const Operand*> cross_inputs;
  std::vector<const Operand*> deep_inputs;
};

// `x` as products read it: itself, or rounded into `room`.
const float* AsOperand(std::size_t /*count*/, const float* x, AlignedFloats& /*room*/) { return x; }
const Bfloat16* AsOperand(std::size_t count, const float* x, AlignedBlock<Bfloat16>& room) {
  Round(count, x, room.get());
  return room.get();
}

template <typename Operand>
class OnednnModel final : public DenseModel {
  static constexpr bool kRounds = std::is_same_v<Operand, Bfloat16>;
  static constexpr Precision kPrecision = kRounds ? Precision::kBf16 : Precision::kFp32;

 public:
  OnednnModel(const ModelSpec& spec, int threads, std::size_t max_slice_rows);

  void SetParameters(std::span<const float> parameters, ThreadPool& pool) override;
  void Forward(int thread, std::span<const float> x0, std::span<float> predictions) override;
  void ForwardBackward(int thread, const TrainingSlice& slice, SliceGradient& out) override;
  [[nodiscard]] std::string engine_description() const override { return OnednnDescription(); }

 private:
  void MakeLayers();
  Workspace<Operand> MakeWorkspace() const;
  std::unique_ptr<OnednnLinear> MakeLinear(const std::string& kernel);
  const float* RunForward(int thread, std::size_t rows, const float* x0, float* predictions);
  const float* RunCrossForward(int thread, std::size_t rows, const float* x0,
                               const Operand*& operand);
  void RunDeepBackward(int thread, std::size_t rows, float* dense_gradient, float* y_gradient);
  void RunCrossBackward(int thread, std::size_t rows, const float* x0, float* y_gradient,
                        SliceGradient& out);
  // Whether cross layer i's output is read by the deep layers' products only.
  [[nodiscard]] bool IsOnlyOperand(std::size_t i) const {
    return i + 1 == cross_.size() && !deep_.empty();
  }
  Workspace<Operand>& workspace(int thread) {
    return workspaces_[static_cast<std::size_t>(thread)];
  }

  const ModelSpec spec_;
  const std::size_t width_;
  const std::size_t max_rows_;
  const std::size_t dense_size_;
  const std::vector<DenseParameter> dense_;
  ProductScratch scratch_;
  std::vector<CrossLayer> cross_;
  std::vector<std::unique_ptr<OnednnLinear>> deep_;
  std::vector<OnednnLinear*> linears_;  // all of them
  std::size_t widest_ = 0;              // of all layers' inputs and outputs
  std::size_t logit_width_ = 0;
  std::size_t logit_kernel_ = 0;  // offsets in the flat vector
  std::size_t logit_bias_ = 0;
  const float* parameters_ = nullptr;
  std::vector<Workspace<Operand>> workspaces_;
};

template <typename Operand>
OnednnModel<Operand>::OnednnModel(const ModelSpec& spec, int threads, std::size_t max_slice_rows)
    : spec_(spec),
      width_(spec.input_width()),
      max_rows_(max_slice_rows),
      dense_size_(spec.dense_size()),
      dense_(spec.DenseParameters()),
      scratch_(static_cast<std::size_t>(threads)) {
  DCN_CHECK(spec.Validate().ok());
  DCN_CHECK_GE(threads, 1);
  DCN_CHECK_GE(max_slice_rows, 1U);
  MakeLayers();
  for (int thread = 0; thread < threads; ++thread) workspaces_.push_back(MakeWorkspace());
}

const DenseParameter& Find(const std::vector<DenseParameter>& parameters, std::string_view name) {
  const auto found = std::find_if(parameters.begin(), parameters.end(),
                                  [&](const DenseParameter& p) { return p.name == name; });
  DCN_CHECK(found != parameters.end());
  return *found;
}

template <typename Operand>
std::unique_ptr<OnednnLinear> OnednnModel<Operand>::MakeLinear(const std::string& kernel) {
  return std::make_unique<OnednnLinear>(LinearSpecOf(spec_, kernel, kPrecision), scratch_,
                                        max_rows_);
}

template <typename Operand>
void OnednnModel<Operand>::MakeLayers() {
  for (std::size_t i = 0; i < spec_.cross.size(); ++i) {
    const std::string prefix = fmt::format("cross/{}/", i);
    CrossLayer layer;
    layer.spec = spec_.cross[i];
    if (layer.spec.projection_dimension == 0) {
      layer.down = MakeLinear(prefix + "kernel");
    } else {
      layer.down = MakeLinear(prefix + "kernel_u");
      layer.up = MakeLinear(prefix + "kernel_v");
    }
    cross_.push_back(std::move(layer));
  }
  for (std::size_t i = 0; i < spec_.deep.size(); ++i) {
    deep_.push_back(MakeLinear(fmt::format("deep/{}/kernel", i)));
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

template <typename Operand>
Workspace<Operand> OnednnModel<Operand>::MakeWorkspace() const {
  Workspace<Operand> workspace;
  workspace.x0 = AlignedBlock<Operand>(kRounds ? max_rows_ * width_ : 0);
  for (std::size_t i = 0; i < cross_.size(); ++i) {
    const bool is_only_operand = IsOnlyOperand(i);
    workspace.cross_outputs.emplace_back(is_only_operand ? 0 : max_rows_ * width_);
    workspace.cross_operands.emplace_back(is_only_operand || kRounds ? max_rows_ * width_ : 0);
    workspace.cross_activations.emplace_back(max_rows_ * width_);
    workspace.cross_projections.emplace_back(max_rows_ * cross_[i].spec.projection_dimension);
  }
  for (std::size_t i = 0; i + 1 < deep_.size(); ++i) {
    workspace.deep_outputs.emplace_back(max_rows_ * deep_[i]->spec().outputs);
  }
  if (!deep_.empty()) {
    workspace.last_output = AlignedFloats(max_rows_ * deep_.back()->spec().outputs);
  }
  for (int i = 0; i < 2; ++i) {
    workspace.gradients.emplace_back(max_rows_ * widest_);
  }
  workspace.y_gradient = AlignedFloats(max_rows_ * width_);
  workspace.prediction_gradient = AlignedFloats(max_rows_);
  workspace.cross_inputs.resize(cross_.size());
  workspace.deep_inputs.resize(deep_.size());
  return workspace;
}

template <typename Operand>
void OnednnModel<Operand>::SetParameters(std::span<const float> parameters, ThreadPool& pool) {
  DCN_CHECK_EQ(parameters.size(), dense_size_);
  parameters_ = parameters.data();
  for (OnednnLinear* linear : linears_) linear->SetParameters(parameters);
  pool.ParallelFor(2 * linears_.size(), [this](int, std::size_t i) {
    OnednnLinear& linear = *linears_[i / 2];
    i % 2 == 0 ? linear.PackForward() : linear.PackBackward();
  });
}

// Returns the cross layers' output, null where it is in `operand` only. operand: x0 as products
// read it, then the output.
template <typename Operand>
const float* OnednnModel<Operand>::RunCrossForward(int thread, std::size_t rows, const float* x0,
                                                   const Operand*& operand) {
  Workspace<Operand>& workspace = this->workspace(thread);
  const std::size_t count = rows * width_;
  const float* x = x0;
  for (std::size_t i = 0; i < cross_.size(); ++i) {
    const CrossLayer& layer = cross_[i];
    float* const z = workspace.cross_activations[i].get();
    workspace.cross_inputs[i] = operand;
    if (layer.up) {
      Operand* const projection = workspace.cross_projections[i].get();
      layer.down->Forward(thread, rows, operand, projection);
      layer.up->Forward(thread, rows, projection, z);
    } else {
      layer.down->Forward(thread, rows, operand, z);
    }
    AlignedBlock<Operand>& rounded = workspace.cross_operands[i];
    if (IsOnlyOperand(i)) {
      CrossForward(layer.spec, count, x0, x, z, rounded.get());
      operand = rounded.get();
      return nullptr;
    }
    float* const y = workspace.cross_outputs[i].get();
    CrossForward(layer.spec, count, x0, x, z, y);
    operand = AsOperand(count, y, rounded);
    x = y;
  }
  return x;
}

// Returns the last hidden layer's output, the logit's input.
template <typename Operand>
const float* OnednnModel<Operand>::RunForward(int thread, std::size_t rows, const float* x0,
                                              float* predictions) {
  DCN_CHECK(parameters_ != nullptr);
  Workspace<Operand>& workspace = this->workspace(thread);
  const Operand* operand = AsOperand(rows * width_, x0, workspace.x0);
  const float* h = RunCrossForward(thread, rows, x0, operand);
  for (std::size_t i = 0; i < deep_.size(); ++i) {
    workspace.deep_inputs[i] = operand;
    if (i + 1 < deep_.size()) {
      Operand* const hidden = workspace.deep_outputs[i].get();
      deep_[i]->Forward(thread, rows, operand, hidden);
      operand = hidden;
    } else {
      deep_[i]->Forward(thread, rows, operand, workspace.last_output.get());
      h = workspace.last_output.get();
    }
  }
  LogitForward(rows, logit_width_, h, parameters_ + logit_kernel_, parameters_[logit_bias_],
               predictions);
  return h;
}

template <typename Operand>
void OnednnModel<Operand>::Forward(int thread, std::span<const float> x0,
                                   std::span<float> predictions) {
  const std::size_t rows = predictions.size();
  DCN_CHECK_LE(rows, max_rows_);
  DCN_CHECK_EQ(x0.size(), rows * width_);
  UseOneThreadPerProduct();
  RunForward(thread, rows, x0.data(), predictions.data());
}

template <typename Operand>
void OnednnModel<Operand>::ForwardBackward(int thread, const TrainingSlice& slice,
                                           SliceGradient& out) {
  const std::size_t rows = slice.labels.size();
  DCN_CHECK_LE(rows, max_rows_);
  DCN_CHECK_EQ(slice.x0.size(), rows * width_);
  DCN_CHECK_EQ(out.predictions.size(), rows);
  DCN_CHECK_EQ(out.dense_gradient.size(), dense_size_);
  DCN_CHECK_EQ(out.x0_gradient.size(), rows * width_);
  UseOneThreadPerProduct();
  Workspace<Operand>& workspace = this->workspace(thread);
  const float* const x0 = slice.x0.data();
  const float* const h = RunForward(thread, rows, x0, out.predictions.data());
  float* const prediction_gradient = workspace.prediction_gradient.get();
  out.squared_error = SquaredError(rows, out.predictions.data(), slice.labels.data(),
                                   slice.gradient_scale, prediction_gradient);

  float* const dense_gradient = out.dense_gradient.data();
  float* const kernel_gradient = dense_gradient + logit_kernel_;
  float* const bias_gradient = dense_gradient + logit_bias_;
  // Without cross layers, their output is x0.
  float* const y_gradient = cross_.empty() ? out.x0_gradient.data() : workspace.y_gradient.get();
  if (deep_.empty()) {
    LogitBackward(rows, logit_width_, prediction_gradient, h, parameters_ + logit_kernel_,
                  y_gradient, kernel_gradient, bias_gradient);
  } else {
    LogitReluBackward(rows, logit_width_, prediction_gradient, h, parameters_ + logit_kernel_,
                      workspace.gradients[0].get(),
                      dense_gradient + deep_.back()->spec().bias_offset, kernel_gradient,
                      bias_gradient);
    RunDeepBackward(thread, rows, dense_gradient, y_gradient);
  }
  if (!cross_.empty()) RunCrossBackward(thread, rows, x0, y_gradient, out);
}

// From the gradient before the last ReLU (in gradients[0]) to y_gradient, that of the cross output.
template <typename Operand>
void OnednnModel<Operand>::RunDeepBackward(int thread, std::size_t rows, float* dense_gradient,
                                           float* y_gradient) {
  Workspace<Operand>& workspace = this->workspace(thread);
  Operand* z_gradient = workspace.gradients[0].get();
  Operand* next = workspace.gradients[1].get();
  for (std::size_t i = deep_.size(); i-- > 0;) {
    deep_[i]->KernelGradient(thread, rows, workspace.deep_inputs[i], z_gradient,
                             dense_gradient + deep_[i]->spec().kernel_offset);
    if (i == 0) {
      deep_[i]->InputGradient(thread, rows, z_gradient, y_gradient);
      return;
    }
    deep_[i]->InputGradient(thread, rows, z_gradient, next);
    const LinearSpec& below = deep_[i - 1]->spec();
    ReluBackward(rows, below.outputs, workspace.deep_outputs[i - 1].get(), next,
                 dense_gradient + below.bias_offset);
    std::swap(z_gradient, next);
  }
}

template <typename Operand>
void OnednnModel<Operand>::RunCrossBackward(int thread, std::size_t rows, const float* x0,
                                            float* y_gradient, SliceGradient& out) {
  Workspace<Operand>& workspace = this->workspace(thread);
  float* const dense_gradient = out.dense_gradient.data();
  float* const x0_gradient = out.x0_gradient.data();
  for (std::size_t i = cross_.size(); i-- > 0;) {
    const CrossLayer& layer = cross_[i];
    const float* const x = i > 0 ? workspace.cross_outputs[i - 1].get() : x0;
    Operand* const z_gradient = workspace.gradients[0].get();
    const CrossBackwardArguments<Operand> arguments{
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
    const Operand* down_gradient = z_gradient;
    if (layer.up) {
      Operand* const projection_gradient = workspace.gradients[1].get();
      layer.up->KernelGradient(thread, rows, workspace.cross_projections[i].get(), z_gradient,
                               dense_gradient + layer.up->spec().kernel_offset);
      layer.up->InputGradient(thread, rows, z_gradient, projection_gradient);
      down_gradient = projection_gradient;
    }
    layer.down->KernelGradient(thread, rows, workspace.cross_inputs[i], down_gradient,
                               dense_gradient + layer.down->spec().kernel_offset);
    layer.down->InputGradient(thread, rows, down_gradient, x_gradient);
  }
}

}  // namespace

std::unique_ptr<DenseModel> MakeOnednnModel(const ModelSpec& spec, int threads,
                                            std::size_t max_slice_rows, Precision precision) {
  if (precision == Precision::kBf16) {
    return std::make_unique<OnednnModel<Bfloat16>>(spec, threads, max_slice_rows);
  }
  return std::make_unique<OnednnModel<float>>(spec, threads, max_slice_rows);
}

}  // namespace dcn::model
