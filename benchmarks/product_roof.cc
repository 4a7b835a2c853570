#include "benchmarks/product_roof.h"

#include <algorithm>
#include <cmath>

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
  for (const Layer& layer : layers_) CheckForward(layer, buffers_.front());
}

model::InputMatrix ProductRoof::Slice::Input(model::Precision precision) const {
  if (precision == model::Precision::kBf16) return bf16.get();
  return fp32.get();
}

model::OutputMatrix ProductRoof::Slice::Output(model::Precision precision) const {
  if (precision == model::Precision::kBf16) return bf16.get();
  return fp32.get();
}

ProductRoof::Buffers::Buffers(std::size_t slice_size, std::size_t kernel_size)
    : input(slice_size),
      output(slice_size),
      z_gradient(slice_size),
      input_gradient(slice_size),
      kernel_gradient(kernel_size) {
  const RandomStream random(1, StreamId("benchmark/roof"));
  for (const Slice* slice : {&input, &z_gradient}) {
    random.FillUniform(1, 0, slice->fp32.span());
    model::Round(slice_size, slice->fp32.get(), slice->bf16.get());
  }
  std::ranges::fill(input_gradient.fp32.span(), 0.0F);
  std::ranges::fill(input_gradient.bf16.span(), model::Bfloat16{0});
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

// The last row of a full slice, summed plainly in double.
void ProductRoof::CheckForward(const Layer& layer, const Buffers& buffers) const {
  const model::LinearSpec& spec = layer.spec;
  const bool is_bf16 = precision_ == model::Precision::kBf16;
  layer.products->Forward(0, slice_rows_, buffers.input.Input(precision_),
                          buffers.output.Output(precision_));
  const std::size_t x = (slice_rows_ - 1) * spec.inputs;
  const std::size_t y = (slice_rows_ - 1) * spec.outputs;
  const float* const kernel = parameters_.get() + spec.kernel_offset;
  for (std::size_t out = 0; out < spec.outputs; ++out) {
    double sum = spec.has_bias ? parameters_.get()[spec.bias_offset + out] : 0;
    for (std::size_t in = 0; in < spec.inputs; ++in) {
      sum += static_cast<double>(buffers.input.fp32.get()[x + in]) *
             static_cast<double>(kernel[in * spec.outputs + out]);
    }
    if (spec.has_relu) sum = std::max(sum, 0.0);
    const float value = is_bf16 ? model::ToFloat(buffers.output.bf16.get()[y + out])
                                : buffers.output.fp32.get()[y + out];
    DCN_CHECK_LE(std::abs(sum - static_cast<double>(value)), is_bf16 ? 3e-2 : 1e-4);
  }
}

}  // namespace dcn::benchmarks
