#include "benchmarks/product_roof.h"

#include <algorithm>
#include <cmath>

#include "common/check.h"
#include "common/random.h"
#include "common/reduction_tree.h"
#include "worker/model/onednn_matmul.h"

namespace dcn::benchmarks {

using model::DenseParameter;

ProductRoof::ProductRoof(const model::ModelSpec& spec, std::size_t slice_rows, int threads)
    : slice_rows_(slice_rows), parameters_(spec.dense_size()) {
  model::InitializeDense(spec, 1, parameters_.span());
  model::UseOneThreadPerProduct();
  const std::vector<DenseParameter> parameters = spec.DenseParameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const std::string& name = parameters[i].name;
    const bool is_cross = name.starts_with("cross/");
    if (parameters[i].shape.size() != 2 || name.starts_with("logit/")) continue;
    AddLayer(parameters, i, !is_cross, is_cross && !name.ends_with("kernel_v"), threads);
  }
  std::size_t widest = 0;
  std::size_t largest_kernel = 0;
  for (const Layer& layer : layers_) {
    widest = std::max({widest, layer.spec.inputs, layer.spec.outputs});
    largest_kernel = std::max(largest_kernel, layer.spec.inputs * layer.spec.outputs);
  }
  const RandomStream random(1, StreamId("benchmark/roof"));
  for (int thread = 0; thread < threads; ++thread) {
    Buffers buffers{AlignedFloats(slice_rows * widest), AlignedFloats(slice_rows * widest),
                    AlignedFloats(slice_rows * widest), AlignedFloats(largest_kernel)};
    random.FillUniform(1, 0, buffers.input.span());
    std::ranges::fill(buffers.input_gradient.span(), 0.0F);
    buffers_.push_back(std::move(buffers));
  }
  for (const Layer& layer : layers_) CheckForward(layer, buffers_.front());
}

void ProductRoof::AddLayer(const std::vector<DenseParameter>& parameters, std::size_t kernel,
                           bool has_relu, bool adds_input_gradient, int threads) {
  model::LinearSpec spec;
  spec.inputs = parameters[kernel].shape[0];
  spec.outputs = parameters[kernel].shape[1];
  spec.kernel_offset = parameters[kernel].offset;
  spec.has_relu = has_relu;
  spec.adds_input_gradient = adds_input_gradient;
  // A layer's bias follows its kernel in model order.
  if (kernel + 1 < parameters.size() && parameters[kernel + 1].shape.size() == 1) {
    spec.has_bias = true;
    spec.bias_offset = parameters[kernel + 1].offset;
  }
  auto products = std::make_unique<model::OnednnLinear>(spec, threads, slice_rows_);
  products->SetParameters(parameters_.span());
  products->PackForward();
  products->PackBackward();
  layers_.push_back({std::move(products), spec});
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
    layer.products->Forward(thread, rows, buffers.input.get(), buffers.output.get());
    layer.products->KernelGradient(thread, rows, buffers.input.get(), buffers.output.get(),
                                   buffers.kernel_gradient.get());
    layer.products->InputGradient(thread, rows, buffers.output.get(), buffers.input_gradient.get());
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
void ProductRoof::CheckForward(const Layer& layer, Buffers& buffers) const {
  layer.products->Forward(0, slice_rows_, buffers.input.get(), buffers.output.get());
  const model::LinearSpec& spec = layer.spec;
  const float* const x = buffers.input.get() + (slice_rows_ - 1) * spec.inputs;
  const float* const y = buffers.output.get() + (slice_rows_ - 1) * spec.outputs;
  const float* const kernel = parameters_.get() + spec.kernel_offset;
  for (std::size_t out = 0; out < spec.outputs; ++out) {
    double sum = spec.has_bias ? parameters_.get()[spec.bias_offset + out] : 0;
    for (std::size_t in = 0; in < spec.inputs; ++in) {
      sum += static_cast<double>(x[in]) * static_cast<double>(kernel[in * spec.outputs + out]);
    }
    if (spec.has_relu) sum = std::max(sum, 0.0);
    DCN_CHECK_LE(std::abs(sum - static_cast<double>(y[out])), 1e-4);
  }
}

}  // namespace dcn::benchmarks
