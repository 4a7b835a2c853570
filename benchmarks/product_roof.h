// The roof of training: the matrix products of a step and nothing else, by the same kernels, with
// the same shapes, on the same threads.
//
// What a step does beside them (cross layers, sums, tables, optimizer, waiting) can only bring it
// below the rate at which these run.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "common/aligned_floats.h"
#include "common/thread_pool.h"
#include "worker/model/bfloat16.h"
#include "worker/model/model_spec.h"
#include "worker/model/onednn_linear.h"
#include "worker/model/precision.h"

namespace dcn::benchmarks {

/// Thread safety: none; Run uses the pool's threads.
class ProductRoof {
 public:
  /// Checks some entries of each layer's three products against plain sums (CheckError).
  ProductRoof(const model::ModelSpec& spec, std::size_t slice_rows, int threads,
              model::Precision precision);

  /// All products of a step over `rows` ratings: forward, input gradient and kernel gradient of
  /// each layer, slice by slice.
  void Run(ThreadPool& pool, std::size_t rows);

  /// Floating-point operations of those products for one rating.
  [[nodiscard]] double operations_per_row() const;

 private:
  struct Layer {
    std::unique_ptr<model::OnednnLinear> products;
    model::LinearSpec spec;
  };
  // Room for a slice in either precision.
  struct Slice {
    explicit Slice(std::size_t size) : fp32(size), bf16(size) {}
    [[nodiscard]] model::InputMatrix Input(model::Precision precision) const;
    [[nodiscard]] model::OutputMatrix Output(model::Precision precision) const;
    [[nodiscard]] double Value(model::Precision precision, std::size_t i) const;
    void SetZero();
    AlignedFloats fp32;
    AlignedBlock<model::Bfloat16> bf16;
  };
  struct Buffers {  // one thread's
    Buffers(std::size_t slice_size, std::size_t kernel_size);
    Slice input, output, z_gradient, input_gradient;
    AlignedFloats kernel_gradient;
  };

  void AddLayer(const model::ModelSpec& spec, const std::string& kernel);
  void RunSlice(int thread, std::size_t rows);
  void CheckForward(const Layer& layer, const Buffers& buffers) const;
  void CheckInputGradient(const Layer& layer, Buffers& buffers) const;
  void CheckKernelGradient(const Layer& layer, const Buffers& buffers) const;
  [[nodiscard]] double Kernel(const model::LinearSpec& spec, std::size_t in, std::size_t out) const;
  void CheckNear(double value, double expected) const;

  const std::size_t slice_rows_;
  const model::Precision precision_;
  AlignedFloats parameters_;
  model::ProductScratch scratch_;
  std::vector<Layer> layers_;
  std::vector<Buffers> buffers_;
};

}  // namespace dcn::benchmarks
