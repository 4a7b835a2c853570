// The dense part of the model, x0 -> prediction, forward and backward over one slice of a batch.
//
// Two implementations answer this interface: onednn_model (explicit formulas over oneDNN products,
// the fast one) and torch_model (LibTorch autograd, the reference it is tested against). A slice is
// computed by one thread, alone, in the same way on every thread: its result depends on the
// parameters and the slice only.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "common/thread_pool.h"
#include "worker/model/model_spec.h"

namespace dcn::model {

/// A slice with its labels. gradient_scale is 2 / (rows of the whole batch): the derivative of the
/// batch's mean squared error is gradient_scale * (prediction - label).
struct TrainingSlice {
  std::span<const float> x0;      // [rows, input_width]
  std::span<const float> labels;  // [rows]
  float gradient_scale = 0;
};

/// What one slice contributes. The spans are the caller's and are overwritten, not added to.
struct SliceGradient {
  std::span<float> predictions;     // [rows]
  std::span<float> dense_gradient;  // [dense_size]: summed over the slice's rows
  std::span<float> x0_gradient;     // [rows, input_width]
  double squared_error = 0;         // sum over the slice's rows
};

/// Thread safety: Forward and ForwardBackward may run at the same time with different `thread`s;
/// SetParameters runs alone.
class DenseModel {
 public:
  virtual ~DenseModel() = default;

  /// Takes new values of all dense parameters, [dense_size], in model order.
  virtual void SetParameters(std::span<const float> parameters, ThreadPool& pool) = 0;

  /// predictions[i] for the rows of x0; the number of rows is predictions.size(), 1 to
  /// max_slice_rows. thread: in [0, threads) of the factory.
  virtual void Forward(int thread, std::span<const float> x0, std::span<float> predictions) = 0;

  /// Forward, squared error and gradients of one slice.
  virtual void ForwardBackward(int thread, const TrainingSlice& slice, SliceGradient& out) = 0;

  /// Name and version of what computes, as recorded with every result: "onednn 2.6.3 (avx512…)".
  [[nodiscard]] virtual std::string engine_description() const = 0;
};

}  // namespace dcn::model
