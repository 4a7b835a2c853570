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
#include <variant>

#include "common/thread_pool.h"
#include "worker/model/bfloat16.h"
#include "worker/model/model_spec.h"
#include "worker/model/precision.h"

namespace dcn::model {

/// Rows of x0 or of its gradient, [rows, input_width], of the model's row_precision.
using Rows = std::variant<std::span<const float>, std::span<const Bfloat16>>;
using MutableRows = std::variant<std::span<float>, std::span<Bfloat16>>;

/// A slice with its labels. gradient_scale is 2 / (rows of the whole batch): the derivative of the
/// batch's mean squared error is gradient_scale * (prediction - label).
struct TrainingSlice {
  Rows x0;
  std::span<const float> labels;  // [rows]
  float gradient_scale = 0;
};

/// What one slice contributes. The spans are the caller's and are overwritten; or dense_gradient is
/// added to, after the slice's was computed by itself.
struct SliceGradient {
  std::span<float> predictions;     // [rows]
  std::span<float> dense_gradient;  // [dense_size]: summed over the slice's rows
  MutableRows x0_gradient;
  double squared_error = 0;          // sum over the slice's rows
  bool adds_dense_gradient = false;  // set by the caller
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
  virtual void Forward(int thread, Rows x0, std::span<float> predictions) = 0;

  /// Forward, squared error and gradients of one slice.
  virtual void ForwardBackward(int thread, const TrainingSlice& slice, SliceGradient& out) = 0;

  /// Of x0 and its gradient: all Rows are of this one.
  [[nodiscard]] virtual Precision row_precision() const = 0;

  /// Name and version of what computes, as recorded with every result: "onednn 2.6.3 (avx512…)".
  [[nodiscard]] virtual std::string engine_description() const = 0;
};

}  // namespace dcn::model
