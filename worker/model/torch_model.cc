// The dense model by LibTorch's autograd: only the forward formulas are written down here, the
// gradients follow from them. Slow and hard to get wrong, so it is what onednn_model is tested
// against. The one file that sees LibTorch; built as a plugin (torch_plugin.h).

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <dlfcn.h>
#include <memory>
#include <mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <fmt/core.h>

// With LibTorch 1.13 and C++20, clang needs IValue complete before anything else.
// clang-format off
#include <ATen/core/ivalue.h>
// clang-format on
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/tanh.h>

#include <torch/csrc/autograd/autograd.h>
#include <torch/version.h>

#include "common/check.h"
#include "worker/model/torch_plugin.h"

namespace dcn::model {
namespace {

// A copy, and so aligned as LibTorch aligns: its kernels' bits may depend on where data lies.
at::Tensor CopyOf(std::span<const float> values, const std::vector<std::size_t>& shape) {
  const std::vector<std::int64_t> sizes(shape.begin(), shape.end());
  return at::from_blob(const_cast<float*>(values.data()), sizes, at::kFloat).clone();
}

void CopyTo(const at::Tensor& tensor, std::span<float> out) {
  const at::Tensor source = tensor.detach().contiguous();
  DCN_CHECK_EQ(static_cast<std::size_t>(source.numel()), out.size());
  std::copy_n(source.data_ptr<float>(), out.size(), out.data());
}

// Runs `body`; LibTorch's exceptions leave it as std::runtime_error, so that nobody outside needs
// to know their type.
template <typename Body>
auto AtBorder(const char* what, Body&& body) {
  try {
    return body();
  } catch (const c10::Error& error) {
    throw std::runtime_error(
        fmt::format("libtorch {}: {}: {}", TORCH_VERSION, what, error.what_without_backtrace()));
  }
}

at::Tensor Activate(Activation activation, const at::Tensor& x) {
  switch (activation) {
    case Activation::kNone:
      return x;
    case Activation::kRelu:
      return at::relu(x);
    case Activation::kTanh:
      return at::tanh(x);
    case Activation::kSigmoid:
      return at::sigmoid(x);
  }
  DCN_CHECK(false && "an Activation outside the enumeration");
  return x;
}

class TorchModel final : public DenseModel {
 public:
  TorchModel(ModelSpec spec, int threads, std::size_t max_slice_rows, std::string description)
      : spec_(std::move(spec)),
        layout_(spec_.DenseParameters()),
        threads_(threads),
        max_slice_rows_(max_slice_rows),
        description_(std::move(description)) {}

  void SetParameters(std::span<const float> parameters, ThreadPool& /*pool*/) override {
    DCN_CHECK_EQ(parameters.size(), spec_.dense_size());
    AtBorder("taking parameters", [&] {
      parameters_.clear();
      for (const DenseParameter& entry : layout_) {
        at::Tensor tensor = CopyOf(parameters.subspan(entry.offset, entry.size), entry.shape);
        parameters_.push_back(tensor.requires_grad_(true));
      }
    });
  }

  void Forward(int thread, std::span<const float> x0, std::span<float> predictions) override {
    const std::size_t rows = predictions.size();
    CheckCall(thread, rows, x0.size());
    AtBorder("forward over a slice", [&] {
      const at::NoGradGuard no_gradient;
      CopyTo(Predict(CopyOf(x0, {rows, spec_.input_width()})), predictions);
    });
  }

  void ForwardBackward(int thread, const TrainingSlice& slice, SliceGradient& out) override {
    const std::size_t rows = slice.labels.size();
    CheckCall(thread, rows, slice.x0.size());
    DCN_CHECK_EQ(out.predictions.size(), rows);
    DCN_CHECK_EQ(out.dense_gradient.size(), spec_.dense_size());
    DCN_CHECK_EQ(out.x0_gradient.size(), slice.x0.size());
    AtBorder("forward and backward over a slice", [&] {
      std::vector<at::Tensor> inputs = parameters_;
      inputs.push_back(CopyOf(slice.x0, {rows, spec_.input_width()}).requires_grad_(true));
      const at::Tensor predictions = Predict(inputs.back());
      const at::Tensor loss = (predictions - CopyOf(slice.labels, {rows})).square().sum();
      // d/dp of (p - y)^2 is 2 (p - y), and gradient_scale has that 2 in it already.
      const at::Tensor loss_gradient = at::scalar_tensor(slice.gradient_scale / 2, at::kFloat);
      const std::vector<at::Tensor> gradients =
          torch::autograd::grad({loss}, inputs, {loss_gradient});
      for (std::size_t i = 0; i < layout_.size(); ++i) {
        CopyTo(gradients[i], out.dense_gradient.subspan(layout_[i].offset, layout_[i].size));
      }
      CopyTo(gradients.back(), out.x0_gradient);
      CopyTo(predictions, out.predictions);
    });
    out.squared_error = 0;
    for (std::size_t i = 0; i < rows; ++i) {
      const double error = double{out.predictions[i]} - double{slice.labels[i]};
      out.squared_error += error * error;
    }
  }

  [[nodiscard]] std::string engine_description() const override { return description_; }

 private:
  void CheckCall(int thread, std::size_t rows, std::size_t x0_size) const {
    DCN_CHECK_GE(thread, 0);
    DCN_CHECK_LT(thread, threads_);
    DCN_CHECK_GE(rows, 1U);
    DCN_CHECK_LE(rows, max_slice_rows_);
    DCN_CHECK_EQ(x0_size, rows * spec_.input_width());
    DCN_CHECK_EQ(parameters_.size(), layout_.size());  // SetParameters comes first
  }

  // x0 [rows, input_width] -> predictions [rows].
  [[nodiscard]] at::Tensor Predict(const at::Tensor& x0) const {
    auto parameter = parameters_.begin();  // kernels and biases stand in the order of their use
    at::Tensor x = x0;
    for (const CrossLayerSpec& layer : spec_.cross) {
      at::Tensor left = x;  // what the last kernel multiplies: x, or x U
      if (layer.projection_dimension != 0) left = at::mm(left, *parameter++);
      const at::Tensor& kernel = *parameter++;
      const at::Tensor& bias = *parameter++;
      at::Tensor u = Activate(layer.preactivation, at::addmm(bias, left, kernel));
      if (layer.diag_scale != 0) u = u + x * layer.diag_scale;
      x = x0 * u + x;
    }
    for (std::size_t i = 0; i < spec_.deep.size(); ++i) {
      const at::Tensor& kernel = *parameter++;
      const at::Tensor& bias = *parameter++;
      x = at::relu(at::addmm(bias, x, kernel));
    }
    const at::Tensor& kernel = *parameter++;
    const at::Tensor& bias = *parameter++;
    DCN_CHECK(parameter == parameters_.end());
    return at::addmm(bias, x, kernel).squeeze(1);
  }

  const ModelSpec spec_;
  const std::vector<DenseParameter> layout_;
  const int threads_;
  const std::size_t max_slice_rows_;
  const std::string description_;
  std::vector<at::Tensor> parameters_;  // as layout_; written by SetParameters only
};

// A function of the BLAS that LibTorch was linked with, or nullptr.
template <typename Function>
Function BlasFunction(const char* name) {
  static_assert(std::is_function_v<std::remove_pointer_t<Function>>);
  return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
}

// One thread for each call, whoever calls; the settings are the process's.
void LimitTorchToOneThread() {
  at::set_num_threads(1);
  // OpenBLAS has threads of its own, which LibTorch does not know of.
  if (const auto set_threads = BlasFunction<void (*)(int)>("openblas_set_num_threads")) {
    set_threads(1);
  }
  static std::once_flag once;  // a second call would throw
  std::call_once(once, [] {
    if (at::get_num_interop_threads() != 1) at::set_num_interop_threads(1);
  });
}

// What multiplies matrices; empty where it is none of the fast ones.
std::string FastBlasName() {
  if (at::hasMKL()) return "MKL";
  if (const auto configuration = BlasFunction<const char* (*)()>("openblas_get_config")) {
    const auto core = BlasFunction<const char* (*)()>("openblas_get_corename");
    const std::string text = configuration();  // "OpenBLAS 0.3.21 NO_LAPACKE … HASWELL MAX_…"
    const std::size_t version_end = text.find(' ', text.find(' ') + 1);
    return text.substr(0, version_end) + (core != nullptr ? std::string(" ") + core() : "");
  }
  return {};
}

Result<TorchEngine> MakeTorchEngine(const ModelSpec& spec, int threads,
                                    std::size_t max_slice_rows) {
  try {
    LimitTorchToOneThread();
    TorchEngine engine;
    const std::string blas = FastBlasName();
    if (blas.empty()) {
      engine.warning =
          "engine torch: LibTorch uses neither OpenBLAS nor MKL; with the reference BLAS, training "
          "is many times slower: install libopenblas0-pthread";
    }
    engine.model = std::make_unique<TorchModel>(
        spec, threads, max_slice_rows,
        fmt::format("libtorch {} ({})", TORCH_VERSION, blas.empty() ? "unknown BLAS" : blas));
    return engine;
  } catch (const c10::Error& error) {
    return Error(StatusCode::kInternal, "engine torch: libtorch {} cannot be set up: {}",
                 TORCH_VERSION, error.what_without_backtrace());
  }
}

}  // namespace
}  // namespace dcn::model

extern "C" __attribute__((visibility("default"))) const dcn::model::TorchPlugin* DcnTorchPlugin() {
  static constexpr dcn::model::TorchPlugin kPlugin{DCN_TORCH_INTERFACE_HASH, _GLIBCXX_USE_CXX11_ABI,
                                                   &dcn::model::MakeTorchEngine};
  return &kPlugin;
}
