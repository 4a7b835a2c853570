#include "benchmarks/product_roof.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "common/check.h"
#include "common/random.h"
#include "common/reduction_tree.h"
#include "worker/model/elementwise.h"
#include "worker/model/onednn_matmul.h"

namespace dcn::benchmarks {

using model::DenseParameter;

ProductRoof::ProductRoof(const model::ModelSpec& spec, std::size_t slice_rows, int threads,
                         model::Precision precision)
    : slice_rows_(slice_rows),
      precision_(precision),
      parameters_(spec.dense_size()),
      scratch_(static_cast<std::size_t>(threads)) {
  model::InitializeDense(spec, 1, parameters_.span());
  model::UseOneThreadPerProduct();
  for (const DenseParameter& parameter : spec.DenseParameters()) {
    if (parameter.shape.size() != 2 || parameter.name.starts_with("logit/")) continue;
    AddLayer(spec, parameter.name);
  }
  std::size_t widest = 0;
  std::size_t largest_kernel = 0;
  for (const Layer& layer : layers_) {
    widest = std::max({widest, layer.spec.inputs, layer.spec.outputs});
    largest_kernel = std::max(largest_kernel, layer.spec.inputs * layer.spec.outputs);
  }
  for (int thread = 0; thread < threads; ++thread) {
    buffers_.emplace_back(slice_rows * widest, largest_kernel);
  }
  for (const Layer& layer : layers_) {
    CheckForward(layer, buffers_.front());
    CheckInputGradient(layer, buffers_.front());
    CheckKernelGradient(layer, buffers_.front());
  }
}

model::InputMatrix ProductRoof::Slice::Input(model::Precision precision) const {
  if (precision == model::Precision::kBf16) return bf16.get();
  return fp32.get();
}

model::OutputMatrix ProductRoof::Slice::Output(model::Precision precision) const {
  if (precision == model::Precision::kBf16) return bf16.get();
  return fp32.get();
}

double ProductRoof::Slice::Value(model::Precision precision, std::size_t i) const {
  const bool is_bf16 = precision == model::Precision::kBf16;
  return static_cast<double>(is_bf16 ? model::ToFloat(bf16.get()[i]) : fp32.get()[i]);
}

void ProductRoof::Slice::SetZero() {
  std::ranges::fill(fp32.span(), 0.0F);
  std::ranges::fill(bf16.span(), model::Bfloat16{0});
}

ProductRoof::Buffers::Buffers(std::size_t slice_size, std::size_t kernel_size)
    : input(slice_size),
      output(slice_size),
      z_gradient(slice_size),
      input_gradient(slice_size),
      kernel_gradient(kernel_size) {
  const RandomStream random(1, StreamId("benchmark/roof"));
  std::uint64_t first = 0;
  for (const Slice* slice : {&input, &z_gradient}) {
    random.FillUniform(1, first, slice->fp32.span());
    model::Round(slice_size, slice->fp32.get(), slice->bf16.get());
    first += slice_size;
  }
  input_gradient.SetZero();
}

void ProductRoof::AddLayer(const model::ModelSpec& spec, const std::string& kernel) {
  const model::LinearSpec linear = model::LinearSpecOf(spec, kernel, precision_);
  auto products = std::make_unique<model::OnednnLinear>(linear, scratch_, slice_rows_);
  products->SetParameters(parameters_.span());
  products->PackForward();
  products->PackBackward();
  layers_.push_back({std::move(products), linear});
}

void ProductRoof::Run(ThreadPool& pool, std::size_t rows) {
  pool.ParallelFor(LeafCount(rows, slice_rows_), [&](int thread, std::size_t leaf) {
    RunSlice(thread, std::min(slice_rows_, rows - leaf * slice_rows_));
  });
}

void ProductRoof::RunSlice(int thread, std::size_t rows) {
  model::UseOneThreadPerProduct();
  const Buffers& buffers = buffers_[static_cast<std::size_t>(thread)];
  for (const Layer& layer : layers_) {
    const model::InputMatrix z_gradient = buffers.z_gradient.Input(precision_);
    layer.products->Forward(thread, rows, buffers.input.Input(precision_),
                            buffers.output.Output(precision_));
    layer.products->KernelGradient(thread, rows, buffers.input.Input(precision_), z_gradient,
                                   buffers.kernel_gradient.get());
    layer.products->InputGradient(thread, rows, z_gradient,
                                  buffers.input_gradient.Output(precision_));
  }
}

double ProductRoof::operations_per_row() const {
  double operations = 0;
  for (const Layer& layer : layers_) {
    operations += 3 * 2 * static_cast<double>(layer.spec.inputs * layer.spec.outputs);
  }
  return operations;
}

double ProductRoof::Kernel(const model::LinearSpec& spec, std::size_t in, std::size_t out) const {
  return static_cast<double>(parameters_.get()[spec.kernel_offset + in * spec.outputs + out]);
}

void ProductRoof::CheckNear(double value, double expected) const {
  DCN_CHECK_LE(std::abs(value - expected), precision_ == model::Precision::kBf16 ? 3e-2 : 1e-4);
}

// The last row of a full slice, summed plainly in double.
void ProductRoof::CheckForward(const Layer& layer, const Buffers& buffers) const {
  const model::LinearSpec& spec = layer.spec;
  layer.products->Forward(0, slice_rows_, buffers.input.Input(precision_),
                          buffers.output.Output(precision_));
  const std::size_t x = (slice_rows_ - 1) * spec.inputs;
  const std::size_t y = (slice_rows_ - 1) * spec.outputs;
  for (std::size_t out = 0; out < spec.outputs; ++out) {
    double sum = spec.has_bias ? static_cast<double>(parameters_.get()[spec.bias_offset + out]) : 0;
    for (std::size_t in = 0; in < spec.inputs; ++in) {
      sum += buffers.input.Value(precision_, x + in) * Kernel(spec, in, out);
    }
    if (spec.has_relu) sum = std::max(sum, 0.0);
    CheckNear(buffers.output.Value(precision_, y + out), sum);
  }
}

// The last row of a full slice. Some layers add to what is there: here to zeros.
void ProductRoof::CheckInputGradient(const Layer& layer, Buffers& buffers) const {
  const model::LinearSpec& spec = layer.spec;
  buffers.input_gradient.SetZero();
  layer.products->InputGradient(0, slice_rows_, buffers.z_gradient.Input(precision_),
                                buffers.input_gradient.Output(precision_));
  const std::size_t x = (slice_rows_ - 1) * spec.inputs;
  const std::size_t z = (slice_rows_ - 1) * spec.outputs;
  for (std::size_t in = 0; in < spec.inputs; ++in) {
    double sum = 0;
    for (std::size_t out = 0; out < spec.outputs; ++out) {
      sum += buffers.z_gradient.Value(precision_, z + out) * Kernel(spec, in, out);
    }
    CheckNear(buffers.input_gradient.Value(precision_, x + in), sum);
  }
}

// The last row of the kernel, over a full slice.
void ProductRoof::CheckKernelGradient(const Layer& layer, const Buffers& buffers) const {
  const model::LinearSpec& spec = layer.spec;
  layer.products->KernelGradient(0, slice_rows_, buffers.input.Input(precision_),
                                 buffers.z_gradient.Input(precision_),
                                 buffers.kernel_gradient.get());
  const std::size_t in = spec.inputs - 1;
  for (std::size_t out = 0; out < spec.outputs; ++out) {
    double sum = 0;
    for (std::size_t row = 0; row < slice_rows_; ++row) {
      sum += buffers.input.Value(precision_, row * spec.inputs + in) *
             buffers.z_gradient.Value(precision_, row * spec.outputs + out);
    }
    CheckNear(static_cast<double>(buffers.kernel_gradient.get()[in * spec.outputs + out]), sum);
  }
}

}  // namespace dcn::benchmarks
