// The roof of training: the matrix products of a step and nothing else, by the same kernels, with
// the same shapes, on the same threads.
//
// What a step does beside them (cross layers, sums, tables, optimizer, waiting) can only bring it
// below the rate at which these run.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "common/aligned_floats.h"
#include "common/thread_pool.h"
#include "worker/model/model_spec.h"
#include "worker/model/onednn_linear.h"

namespace dcn::benchmarks {

/// Thread safety: none; Run uses the pool's threads.
class ProductRoof {
 public:
  /// Checks one product of each layer against plain sums (CheckError).
  ProductRoof(const model::ModelSpec& spec, std::size_t slice_rows, int threads);

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
  struct Buffers {  // one thread's
    AlignedFloats input, output, input_gradient, kernel_gradient;
  };

  void AddLayer(const std::vector<model::DenseParameter>& parameters, std::size_t kernel,
                bool has_relu, bool adds_input_gradient, int threads);
  void RunSlice(int thread, std::size_t rows);
  void CheckForward(const Layer& layer, Buffers& buffers) const;

  const std::size_t slice_rows_;
  AlignedFloats parameters_;
  std::vector<Layer> layers_;
  std::vector<Buffers> buffers_;
};

}  // namespace dcn::benchmarks
