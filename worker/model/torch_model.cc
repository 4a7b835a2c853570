// The dense model by LibTorch's autograd: only the forward formulas are written down here, the
// gradients follow from them. Slow and hard to get wrong, so it is what onednn_model is tested
// against; and what computes on a GPU. The one file that sees LibTorch; built as a plugin
// (torch_plugin.h).
//
// On a GPU, too, a slice comes from host memory and its gradients go back there: the rows'
// gradients are summed by the plan's sorted segments (worker/train/row_gradients.h), never by
// atomics.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <dlfcn.h>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
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
#include <ATen/Version.h>
#include <ATen/core/grad_mode.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/tanh.h>

#include <torch/csrc/autograd/autograd.h>
#include <torch/cuda.h>
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

// Calls move(values, size) with the tensor's values in this process' memory.
template <typename Move>
void MoveFrom(const at::Tensor& tensor, std::size_t size, Move move) {
  const at::Tensor source = tensor.detach().to(at::kCPU).contiguous();
  DCN_CHECK_EQ(static_cast<std::size_t>(source.numel()), size);
  move(source.data_ptr<float>(), size);
}

void CopyTo(const at::Tensor& tensor, std::span<float> out) {
  MoveFrom(tensor, out.size(),
           [&](const float* values, std::size_t size) { std::copy_n(values, size, out.data()); });
}

void AddTo(const at::Tensor& tensor, std::span<float> out) {
  MoveFrom(tensor, out.size(), [&](const float* values, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) out[i] += values[i];
  });
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
  TorchModel(ModelSpec spec, int threads, std::size_t max_slice_rows, at::Device device,
             std::string description)
      : spec_(std::move(spec)),
        layout_(spec_.DenseParameters()),
        threads_(threads),
        max_slice_rows_(max_slice_rows),
        device_(device),
        description_(std::move(description)) {}

  void SetParameters(std::span<const float> parameters, ThreadPool& /*pool*/) override {
    DCN_CHECK_EQ(parameters.size(), spec_.dense_size());
    AtBorder("taking parameters", [&] {
      parameters_.clear();
      for (const DenseParameter& entry : layout_) {
        at::Tensor tensor = OnDevice(parameters.subspan(entry.offset, entry.size), entry.shape);
        parameters_.push_back(tensor.requires_grad_(true));
      }
    });
  }

  void Forward(int thread, Rows x0_rows, std::span<float> predictions) override {
    const auto x0 = std::get<std::span<const float>>(x0_rows);
    const std::size_t rows = predictions.size();
    CheckCall(thread, rows, x0.size());
    AtBorder("forward over a slice", [&] {
      const at::NoGradGuard no_gradient;
      CopyTo(Predict(OnDevice(x0, {rows, spec_.input_width()})), predictions);
    });
  }

  void ForwardBackward(int thread, const TrainingSlice& slice, SliceGradient& out) override {
    const std::size_t rows = slice.labels.size();
    const auto x0 = std::get<std::span<const float>>(slice.x0);
    const auto x0_gradient = std::get<std::span<float>>(out.x0_gradient);
    CheckCall(thread, rows, x0.size());
    DCN_CHECK_EQ(out.predictions.size(), rows);
    DCN_CHECK_EQ(out.dense_gradient.size(), spec_.dense_size());
    DCN_CHECK_EQ(x0_gradient.size(), x0.size());
    AtBorder("forward and backward over a slice", [&] {
      std::vector<at::Tensor> inputs = parameters_;
      inputs.push_back(OnDevice(x0, {rows, spec_.input_width()}).requires_grad_(true));
      const at::Tensor predictions = Predict(inputs.back());
      const at::Tensor loss = (predictions - OnDevice(slice.labels, {rows})).square().sum();
      // d/dp of (p - y)^2 is 2 (p - y), and gradient_scale has that 2 in it already.
      const at::Tensor loss_gradient = at::scalar_tensor(
          slice.gradient_scale / 2, at::TensorOptions(at::kFloat).device(device_));
      const std::vector<at::Tensor> gradients =
          torch::autograd::grad({loss}, inputs, {loss_gradient});
      for (std::size_t i = 0; i < layout_.size(); ++i) {
        const auto part = out.dense_gradient.subspan(layout_[i].offset, layout_[i].size);
        out.adds_dense_gradient ? AddTo(gradients[i], part) : CopyTo(gradients[i], part);
      }
      CopyTo(gradients.back(), x0_gradient);
      CopyTo(predictions, out.predictions);
    });
    out.squared_error = 0;
    for (std::size_t i = 0; i < rows; ++i) {
      const double error = double{out.predictions[i]} - double{slice.labels[i]};
      out.squared_error += error * error;
    }
  }

  [[nodiscard]] Precision row_precision() const override { return Precision::kFp32; }
  [[nodiscard]] std::string engine_description() const override { return description_; }

 private:
  [[nodiscard]] at::Tensor OnDevice(std::span<const float> values,
                                    const std::vector<std::size_t>& shape) const {
    return CopyOf(values, shape).to(device_);
  }

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
  const at::Device device_;
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

// The instruction set of LibTorch's own kernels, as at::show_config says: "AVX512".
std::string CpuCapability() {
  constexpr std::string_view kBefore = "CPU capability usage: ";
  const std::string text = at::show_config();
  const std::size_t begin = text.find(kBefore);
  if (begin == std::string::npos) return "unknown instruction set";
  const std::size_t from = begin + kBefore.size();
  return text.substr(from, text.find('\n', from) - from);
}

// Every operation in an order of its own on a GPU, whoever calls beside; single precision whole.
// One that has no such order throws.
void LimitTorchToOneOrder() {
  at::globalContext().setDeterministicAlgorithms(true, false);
  at::globalContext().setFloat32MatmulPrecision("highest");
}

// "CUDA 12.4": of this LibTorch.
std::string CudaVersion() {
  const long version = at::detail::getCUDAHooks().versionCUDART();
  return fmt::format("CUDA {}.{}", version / 1000, version % 1000 / 10);
}

// "NVIDIA A100-SXM4-80GB", by CUDA's driver, which numbers GPUs as LibTorch does and which LibTorch
// has loaded: its own headers need CUDA's, which are not there where LibTorch is without.
std::string GpuName(int gpu) {
  constexpr const char* kUnknown = "unknown GPU";
  void* const driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);  // never closed: in use
  if (driver == nullptr) return kUnknown;
  const auto initialize = reinterpret_cast<int (*)(unsigned)>(dlsym(driver, "cuInit"));
  const auto get_device = reinterpret_cast<int (*)(int*, int)>(dlsym(driver, "cuDeviceGet"));
  const auto get_name =
      reinterpret_cast<int (*)(char*, int, int)>(dlsym(driver, "cuDeviceGetName"));
  if (initialize == nullptr || get_device == nullptr || get_name == nullptr) return kUnknown;
  int device = 0;
  std::array<char, 256> name{};
  const bool is_known = initialize(0) == 0 && get_device(&device, gpu) == 0 &&
                        get_name(name.data(), static_cast<int>(name.size()) - 1, device) == 0;
  return is_known ? name.data() : kUnknown;
}

TorchEngine MakeOnProcessor(const ModelSpec& spec, int threads, std::size_t max_slice_rows) {
  TorchEngine engine;
  const std::string blas = FastBlasName();
  if (blas.empty()) {
    engine.warning =
        "engine torch: LibTorch uses neither OpenBLAS nor MKL; with the reference BLAS, training "
        "is many times slower: install libopenblas0-pthread";
  }
  engine.model = std::make_unique<TorchModel>(
      spec, threads, max_slice_rows, at::Device(at::kCPU),
      fmt::format("libtorch {} ({}, {})", TORCH_VERSION, blas.empty() ? "unknown BLAS" : blas,
                  CpuCapability()));
  return engine;
}

TorchEngine MakeOnGpu(const ModelSpec& spec, int threads, std::size_t max_slice_rows, int gpu) {
  LimitTorchToOneOrder();
  TorchEngine engine;
  engine.model = std::make_unique<TorchModel>(
      spec, threads, max_slice_rows, at::Device(at::kCUDA, static_cast<at::DeviceIndex>(gpu)),
      fmt::format("libtorch {} ({}, {})", TORCH_VERSION, CudaVersion(), GpuName(gpu)));
  return engine;
}

Result<TorchEngine> MakeTorchEngine(const ModelSpec& spec, int threads, std::size_t max_slice_rows,
                                    std::optional<int> gpu) {
  try {
    LimitTorchToOneThread();
    return gpu ? MakeOnGpu(spec, threads, max_slice_rows, *gpu)
               : MakeOnProcessor(spec, threads, max_slice_rows);
  } catch (const c10::Error& error) {
    return Error(StatusCode::kInternal, "engine torch: libtorch {} cannot be set up: {}",
                 TORCH_VERSION, error.what_without_backtrace());
  }
}

Result<int> CountGpus() {
  try {
    if (!at::detail::getCUDAHooks().hasCUDART()) {
      return Error(StatusCode::kInvalidArgument,
                   "engine torch: this LibTorch ({}) was built without CUDA; build with one that "
                   "has it (-DCMAKE_PREFIX_PATH=…/torch), or compute on the device cpu",
                   TORCH_VERSION);
    }
    const auto gpus = static_cast<int>(torch::cuda::device_count());
    if (gpus > 0) return gpus;
    return Error(
        StatusCode::kInvalidArgument,
        "engine torch: LibTorch {} finds no GPU that it can use: none is there, its driver "
        "is missing or too old, or CUDA_VISIBLE_DEVICES hides it",
        TORCH_VERSION);
  } catch (const c10::Error& error) {
    return Error(StatusCode::kInternal, "engine torch: libtorch {}: counting GPUs: {}",
                 TORCH_VERSION, error.what_without_backtrace());
  }
}

}  // namespace
}  // namespace dcn::model

extern "C" __attribute__((visibility("default"))) const dcn::model::TorchPlugin* DcnTorchPlugin() {
  static constexpr dcn::model::TorchPlugin kPlugin{DCN_TORCH_INTERFACE_HASH, _GLIBCXX_USE_CXX11_ABI,
                                                   &dcn::model::MakeTorchEngine,
                                                   &dcn::model::CountGpus};
  return &kPlugin;
}
