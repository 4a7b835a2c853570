#include "worker/model/onednn_model.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
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

// A thread's activations and gradients of one slice, [rows, width of what it is], in the precision
// that products read.
template <typename Element>
struct Workspace {
  using Elements = AlignedBlock<Element>;
  std::vector<Elements> cross_outputs;      // x_1 .. x_L
  std::vector<Elements> cross_activations;  // a of each cross layer, then z's gradient
  std::vector<Elements> cross_projections;  // x U of each (empty when full)
  std::vector<Elements> deep_outputs;       // of all layers but the last
  // As wide as the widest layer: the last deep layer's output in the first one, then gradients in
  // turns. Few buffers, because a second-level cache does not hold them all.
  Elements rooms[2];
  Elements projection_gradient;       // of x U, for one layer after the other
  AlignedFloats prediction_gradient;  // [rows]
  // What is summed over the slice, of one layer after the other, before it is added.
  AlignedFloats kernel_gradient;
  AlignedFloats column_sums;
  AlignedFloats logit_gradient;
};

// Where a slice's gradients of dense parameters go.
struct DenseGradient {
  float* gradient;  // in model order
  bool adds;

  // What is summed already, for the parameters from `offset` on.
  void Put(std::size_t count, const float* sums, std::size_t offset) const {
    if (adds) {
      AddFloats(count, sums, gradient + offset);
    } else {
      std::copy_n(sums, count, gradient + offset);
    }
  }
  void PutBias(const OnednnLinear& layer, const float* sums) const {
    Put(layer.spec().outputs, sums, layer.spec().bias_offset);
  }
};

template <typename Element>
class OnednnModel final : public DenseModel {
  static constexpr Precision kPrecision =
      std::is_same_v<Element, Bfloat16> ? Precision::kBf16 : Precision::kFp32;

 public:
  OnednnModel(const ModelSpec& spec, int threads, std::size_t max_slice_rows);

  void SetParameters(std::span<const float> parameters, ThreadPool& pool) override;
  void Forward(int thread, Rows x0, std::span<float> predictions) override;
  void ForwardBackward(int thread, const TrainingSlice& slice, SliceGradient& out) override;
  [[nodiscard]] Precision row_precision() const override { return kPrecision; }
  [[nodiscard]] std::string engine_description() const override { return OnednnDescription(); }

 private:
  void MakeLayers();
  Workspace<Element> MakeWorkspace() const;
  std::unique_ptr<OnednnLinear> MakeLinear(const std::string& kernel);
  const Element* RunForward(int thread, std::size_t rows, const Element* x0, float* predictions);
  const Element* RunCrossForward(int thread, std::size_t rows, const Element* x0);
  void PutKernelGradient(int thread, std::size_t rows, OnednnLinear& layer, const Element* x,
                         const Element* z_gradient, const DenseGradient& dense);
  Element* RunDeepBackward(int thread, std::size_t rows, const Element* y,
                           const DenseGradient& dense, Element* x0_gradient);
  void RunCrossBackward(int thread, std::size_t rows, const Element* x0, Element* y_gradient,
                        const DenseGradient& dense, Element* x0_gradient);
  Workspace<Element>& workspace(int thread) {
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
  std::vector<Workspace<Element>> workspaces_;
};

template <typename Element>
OnednnModel<Element>::OnednnModel(const ModelSpec& spec, int threads, std::size_t max_slice_rows)
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

template <typename Element>
std::unique_ptr<OnednnLinear> OnednnModel<Element>::MakeLinear(const std::string& kernel) {
  return std::make_unique<OnednnLinear>(LinearSpecOf(spec_, kernel, kPrecision), scratch_,
                                        max_rows_);
}

template <typename Element>
void OnednnModel<Element>::MakeLayers() {
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

template <typename Element>
Workspace<Element> OnednnModel<Element>::MakeWorkspace() const {
  Workspace<Element> workspace;
  for (const CrossLayer& layer : cross_) {
    workspace.cross_outputs.emplace_back(max_rows_ * width_);
    workspace.cross_activations.emplace_back(max_rows_ * width_);
    workspace.cross_projections.emplace_back(max_rows_ * layer.spec.projection_dimension);
  }
  for (std::size_t i = 0; i + 1 < deep_.size(); ++i) {
    workspace.deep_outputs.emplace_back(max_rows_ * deep_[i]->spec().outputs);
  }
  for (AlignedBlock<Element>& room : workspace.rooms) {
    room = AlignedBlock<Element>(max_rows_ * widest_);
  }
  for (const CrossLayer& layer : cross_) {
    workspace.projection_gradient.EnsureSize(max_rows_ * layer.spec.projection_dimension);
  }
  workspace.prediction_gradient = AlignedFloats(max_rows_);
  for (const OnednnLinear* linear : linears_) {
    workspace.kernel_gradient.EnsureSize(linear->spec().inputs * linear->spec().outputs);
  }
  workspace.column_sums = AlignedFloats(widest_);
  workspace.logit_gradient = AlignedFloats(logit_width_);
  return workspace;
}

template <typename Element>
void OnednnModel<Element>::SetParameters(std::span<const float> parameters, ThreadPool& pool) {
  DCN_CHECK_EQ(parameters.size(), dense_size_);
  parameters_ = parameters.data();
  for (OnednnLinear* linear : linears_) linear->SetParameters(parameters);
  pool.ParallelFor(2 * linears_.size(), [this](int, std::size_t i) {
    OnednnLinear& linear = *linears_[i / 2];
    i % 2 == 0 ? linear.PackForward() : linear.PackBackward();
  });
}

// Returns the cross layers' output; without layers that is x0.
template <typename Element>
const Element* OnednnModel<Element>::RunCrossForward(int thread, std::size_t rows,
                                                     const Element* x0) {
  Workspace<Element>& workspace = this->workspace(thread);
  const Element* x = x0;
  for (std::size_t i = 0; i < cross_.size(); ++i) {
    const CrossLayer& layer = cross_[i];
    Element* const z = workspace.cross_activations[i].get();
    if (layer.up) {
      Element* const projection = workspace.cross_projections[i].get();
      layer.down->Forward(thread, rows, x, projection);
      layer.up->Forward(thread, rows, projection, z);
    } else {
      layer.down->Forward(thread, rows, x, z);
    }
    Element* const y = workspace.cross_outputs[i].get();
    CrossForward(layer.spec, rows * width_, x0, x, z, y);
    x = y;
  }
  return x;
}

// Returns the last hidden layer's output, the logit's input.
template <typename Element>
const Element* OnednnModel<Element>::RunForward(int thread, std::size_t rows, const Element* x0,
                                                float* predictions) {
  DCN_CHECK(parameters_ != nullptr);
  Workspace<Element>& workspace = this->workspace(thread);
  const Element* h = RunCrossForward(thread, rows, x0);
  for (std::size_t i = 0; i < deep_.size(); ++i) {
    const bool is_last = i + 1 == deep_.size();
    Element* const output = (is_last ? workspace.rooms[0] : workspace.deep_outputs[i]).get();
    deep_[i]->Forward(thread, rows, h, output);
    h = output;
  }
  LogitForward(rows, logit_width_, h, parameters_ + logit_kernel_, parameters_[logit_bias_],
               predictions);
  return h;
}

template <typename Element>
void OnednnModel<Element>::Forward(int thread, Rows x0_rows, std::span<float> predictions) {
  const auto x0 = std::get<std::span<const Element>>(x0_rows);
  const std::size_t rows = predictions.size();
  DCN_CHECK_LE(rows, max_rows_);
  DCN_CHECK_EQ(x0.size(), rows * width_);
  UseOneThreadPerProduct();
  RunForward(thread, rows, x0.data(), predictions.data());
}

template <typename Element>
void OnednnModel<Element>::ForwardBackward(int thread, const TrainingSlice& slice,
                                           SliceGradient& out) {
  const auto x0 = std::get<std::span<const Element>>(slice.x0);
  const auto x0_gradient = std::get<std::span<Element>>(out.x0_gradient);
  const std::size_t rows = slice.labels.size();
  DCN_CHECK_LE(rows, max_rows_);
  DCN_CHECK_EQ(x0.size(), rows * width_);
  DCN_CHECK_EQ(out.predictions.size(), rows);
  DCN_CHECK_EQ(out.dense_gradient.size(), dense_size_);
  DCN_CHECK_EQ(x0_gradient.size(), rows * width_);
  UseOneThreadPerProduct();
  Workspace<Element>& workspace = this->workspace(thread);
  const Element* const h = RunForward(thread, rows, x0.data(), out.predictions.data());
  float* const prediction_gradient = workspace.prediction_gradient.get();
  out.squared_error = SquaredError(rows, out.predictions.data(), slice.labels.data(),
                                   slice.gradient_scale, prediction_gradient);

  const DenseGradient dense{out.dense_gradient.data(), out.adds_dense_gradient};
  float* const kernel_gradient = workspace.logit_gradient.get();
  float bias_gradient = 0;
  Element* y_gradient = nullptr;
  if (deep_.empty()) {
    y_gradient = cross_.empty() ? x0_gradient.data() : workspace.rooms[0].get();
    LogitBackward(rows, logit_width_, prediction_gradient, h, parameters_ + logit_kernel_,
                  y_gradient, kernel_gradient, &bias_gradient);
  } else {
    Element* const z_gradient = workspace.rooms[0].get();  // where h is
    LogitReluBackward(rows, logit_width_, prediction_gradient, h, parameters_ + logit_kernel_,
                      z_gradient, workspace.column_sums.get(), kernel_gradient, &bias_gradient);
    dense.PutBias(*deep_.back(), workspace.column_sums.get());
    const Element* const y = cross_.empty() ? x0.data() : workspace.cross_outputs.back().get();
    y_gradient = RunDeepBackward(thread, rows, y, dense, x0_gradient.data());
  }
  dense.Put(logit_width_, kernel_gradient, logit_kernel_);
  dense.Put(1, &bias_gradient, logit_bias_);
  if (!cross_.empty()) {
    RunCrossBackward(thread, rows, x0.data(), y_gradient, dense, x0_gradient.data());
  }
}

template <typename Element>
void OnednnModel<Element>::PutKernelGradient(int thread, std::size_t rows, OnednnLinear& layer,
                                             const Element* x, const Element* z_gradient,
                                             const DenseGradient& dense) {
  const LinearSpec& spec = layer.spec();
  if (!dense.adds) {
    layer.KernelGradient(thread, rows, x, z_gradient, dense.gradient + spec.kernel_offset);
    return;
  }
  float* const kernel_gradient = workspace(thread).kernel_gradient.get();
  layer.KernelGradient(thread, rows, x, z_gradient, kernel_gradient);
  dense.Put(spec.inputs * spec.outputs, kernel_gradient, spec.kernel_offset);
}

// From the gradient before the last ReLU, in rooms[0], to that of y, the deep layers' input.
// Returns where that is: one of the rooms; or x0_gradient, where y is x0.
template <typename Element>
Element* OnednnModel<Element>::RunDeepBackward(int thread, std::size_t rows, const Element* y,
                                               const DenseGradient& dense, Element* x0_gradient) {
  Workspace<Element>& workspace = this->workspace(thread);
  Element* z_gradient = workspace.rooms[0].get();
  Element* next = workspace.rooms[1].get();
  for (std::size_t i = deep_.size() - 1; i > 0; --i) {
    const Element* const input = workspace.deep_outputs[i - 1].get();
    PutKernelGradient(thread, rows, *deep_[i], input, z_gradient, dense);
    deep_[i]->InputGradient(thread, rows, z_gradient, next);
    const OnednnLinear& below = *deep_[i - 1];
    ReluBackward(rows, below.spec().outputs, input, next, workspace.column_sums.get());
    dense.PutBias(below, workspace.column_sums.get());
    std::swap(z_gradient, next);
  }
  Element* const y_gradient = cross_.empty() ? x0_gradient : next;
  PutKernelGradient(thread, rows, *deep_[0], y, z_gradient, dense);
  deep_[0]->InputGradient(thread, rows, z_gradient, y_gradient);
  return y_gradient;
}

// y_gradient: of the cross layers' output, in one of the rooms; it is overwritten.
template <typename Element>
void OnednnModel<Element>::RunCrossBackward(int thread, std::size_t rows, const Element* x0,
                                            Element* y_gradient, const DenseGradient& dense,
                                            Element* x0_gradient) {
  Workspace<Element>& workspace = this->workspace(thread);
  for (std::size_t i = cross_.size(); i-- > 0;) {
    const CrossLayer& layer = cross_[i];
    const Element* const x = i > 0 ? workspace.cross_outputs[i - 1].get() : x0;
    Element* const z_gradient = workspace.cross_activations[i].get();  // in place of a
    const CrossBackwardArguments<Element> arguments{.x0 = x0,
                                                    .x = x,
                                                    .a = z_gradient,
                                                    .y_gradient = y_gradient,
                                                    .z_gradient = z_gradient,
                                                    .x0_gradient = x0_gradient,
                                                    .x_gradient = y_gradient,
                                                    .bias_gradient = workspace.column_sums.get()};
    const bool is_last = i + 1 == cross_.size();
    if (i == 0) {
      FirstCrossBackward(layer.spec, rows, width_, is_last, arguments);
    } else {
      CrossBackward(layer.spec, rows, width_, is_last, arguments);
    }
    dense.PutBias(layer.with_bias(), workspace.column_sums.get());
    // The first layer's x is x0: its part through W goes straight into x0's gradient.
    Element* const x_gradient = i == 0 ? x0_gradient : y_gradient;
    const Element* down_gradient = z_gradient;
    if (layer.up) {
      Element* const projection_gradient = workspace.projection_gradient.get();
      PutKernelGradient(thread, rows, *layer.up, workspace.cross_projections[i].get(), z_gradient,
                        dense);
      layer.up->InputGradient(thread, rows, z_gradient, projection_gradient);
      down_gradient = projection_gradient;
    }
    PutKernelGradient(thread, rows, *layer.down, x, down_gradient, dense);
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
