// One dense layer y = x W (+ b) (then ReLU) over slices: its three products, for every slice length
// that occurs, and its packed weights.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "common/aligned_floats.h"
#include "worker/model/bfloat16.h"
#include "worker/model/model_spec.h"
#include "worker/model/onednn_matmul.h"
#include "worker/model/precision.h"

namespace dcn::model {

/// Memory that products need while they run, by thread; shared by all of a thread's, it stays in
/// its caches. Grows when a product is made.
using ProductScratch = std::vector<AlignedBlock<std::byte>>;

/// Where a layer's parameters stand in the flat vector, and what it is.
struct LinearSpec {
  std::size_t inputs = 0;
  std::size_t outputs = 0;
  std::size_t kernel_offset = 0;  // kernel [inputs, outputs]
  std::size_t bias_offset = 0;
  bool has_bias = false;
  bool has_relu = false;
  bool adds_input_gradient = false;  // InputGradient adds to its output instead of overwriting it
  Precision precision = Precision::kFp32;  // of x, y, their gradients, and W as products read it
};

/// What the model does with one of its kernels, "cross/0/kernel_u". REQUIRES: the model has the
/// kernel; it is not the logit's.
LinearSpec LinearSpecOf(const ModelSpec& model, const std::string& kernel, Precision precision);

/// Thread safety: the three products may run on different threads with different `thread`s;
/// SetParameters and the Pack calls run apart from them.
class OnednnLinear {
 public:
  /// One thread for each of `scratch`, which outlives this. full_rows: the slice length that gets
  /// packed weights.
  OnednnLinear(const LinearSpec& spec, ProductScratch& scratch, std::size_t full_rows);

  [[nodiscard]] const LinearSpec& spec() const { return spec_; }

  /// Borrows the flat parameter vector until the next call; the packed copies are made by Pack*.
  void SetParameters(std::span<const float> parameters) { parameters_ = parameters.data(); }
  void PackForward();
  void PackBackward();

  /// y[rows, outputs] from x[rows, inputs].
  void Forward(int thread, std::size_t rows, InputMatrix x, OutputMatrix y);
  /// x_gradient[rows, inputs] from the gradient of x W + b.
  void InputGradient(int thread, std::size_t rows, InputMatrix z_gradient, OutputMatrix x_gradient);
  /// kernel_gradient[inputs, outputs] = x^T z_gradient.
  void KernelGradient(int thread, std::size_t rows, InputMatrix x, InputMatrix z_gradient,
                      float* kernel_gradient);

 private:
  struct Products {  // for one slice length
    Matmul forward, input_gradient, kernel_gradient;
  };
  struct Arguments {  // one thread's
    const Products* products;
    Matmul::Arguments forward, input_gradient, kernel_gradient;
  };

  Products MakeProducts(std::size_t rows) const;
  const Products& ProductsFor(std::size_t rows);
  Arguments& ArgumentsFor(int thread, std::size_t rows);
  [[nodiscard]] void* scratch(int thread) const {
    return scratch_[static_cast<std::size_t>(thread)].get();
  }
  [[nodiscard]] const float* kernel() const { return parameters_ + spec_.kernel_offset; }
  [[nodiscard]] InputMatrix operand_kernel() const {
    return rounded_kernel_.size() > 0 ? InputMatrix(rounded_kernel_.get()) : InputMatrix(kernel());
  }

  const LinearSpec spec_;
  ProductScratch& scratch_;
  const std::size_t full_rows_;
  const float* parameters_ = nullptr;

  std::mutex products_mutex_;
  std::map<std::size_t, std::unique_ptr<Products>> products_;  // by rows; guarded by the mutex
  std::vector<std::map<std::size_t, Arguments>> arguments_;    // by thread, then rows
  AlignedBlock<Bfloat16> rounded_kernel_;                      // W for other slices; bf16 only
  PackedMatrix packed_forward_;                                // W for full_rows
  PackedMatrix packed_backward_;                               // W transposed for full_rows
};

}  // namespace dcn::model
