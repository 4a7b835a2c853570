#include "worker/model/onednn_matmul.h"

#include <array>
#include <dlfcn.h>
#include <stdexcept>
#include <string_view>
#include <utility>

#include <dnnl.hpp>
#include <fmt/core.h>

#include "common/check.h"

namespace dcn::model {
namespace {

using Dims = dnnl::memory::dims;
using Tag = dnnl::memory::format_tag;
constexpr auto kF32 = dnnl::memory::data_type::f32;

const dnnl::engine& CpuEngine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

std::int64_t Dim(std::size_t size) { return static_cast<std::int64_t>(size); }

dnnl::memory::desc MatrixDesc(std::size_t rows, std::size_t columns, bool is_transposed) {
  return {Dims{Dim(rows), Dim(columns)}, kF32, is_transposed ? Tag::ba : Tag::ab};
}

dnnl::primitive_attr Attributes(const MatmulShape& shape) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  dnnl::post_ops post_ops;
  if (shape.accumulates) post_ops.append_sum(1.0F);
  if (shape.has_relu) {
#if DNNL_VERSION_MAJOR >= 3
    post_ops.append_eltwise(dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
#else
    post_ops.append_eltwise(1.0F, dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
#endif
  }
  attributes.set_post_ops(post_ops);
  return attributes;
}

dnnl::matmul::primitive_desc Describe(const MatmulShape& shape) {
  const auto a = MatrixDesc(shape.m, shape.k, shape.a_is_transposed);
  const auto b = shape.b_is_packed
                     ? dnnl::memory::desc(Dims{Dim(shape.k), Dim(shape.n)}, kF32, Tag::any)
                     : MatrixDesc(shape.k, shape.n, shape.b_is_transposed);
  const auto bias = MatrixDesc(1, shape.n, false);
  const auto c = MatrixDesc(shape.m, shape.n, false);
  const dnnl::primitive_attr attributes = Attributes(shape);
#if DNNL_VERSION_MAJOR >= 3
  return shape.has_bias ? dnnl::matmul::primitive_desc(CpuEngine(), a, b, bias, c, attributes)
                        : dnnl::matmul::primitive_desc(CpuEngine(), a, b, c, attributes);
#else
  const dnnl::matmul::desc operation =
      shape.has_bias ? dnnl::matmul::desc(a, b, bias, c) : dnnl::matmul::desc(a, b, c);
  return {operation, attributes, CpuEngine()};
#endif
}

void CheckStatus(dnnl_status_t status, const char* what) {
  if (status != dnnl_success) {
    throw std::runtime_error(fmt::format("oneDNN failed: {} (status {})", what, int{status}));
  }
}

// The library takes non-const handles for inputs, too.
void* Handle(const float* data) { return const_cast<float*>(data); }

}  // namespace

struct PackedMatrix::State {
  dnnl::memory memory;
};
PackedMatrix::PackedMatrix() = default;
PackedMatrix::~PackedMatrix() = default;
PackedMatrix::PackedMatrix(PackedMatrix&&) noexcept = default;
PackedMatrix& PackedMatrix::operator=(PackedMatrix&&) noexcept = default;

struct Matmul::Arguments::State {
  dnnl::stream stream{CpuEngine()};
  dnnl::memory a, b, bias, c, scratch;
};
Matmul::Arguments::Arguments(std::unique_ptr<State> state) : state_(std::move(state)) {}
Matmul::Arguments::~Arguments() = default;
Matmul::Arguments::Arguments(Arguments&&) noexcept = default;
Matmul::Arguments& Matmul::Arguments::operator=(Arguments&&) noexcept = default;

struct Matmul::State {
  explicit State(const MatmulShape& matmul_shape)
      : shape(matmul_shape), description(Describe(matmul_shape)), primitive(description) {}

  // `b` is the plain or the packed second operand; the others' handles are set already.
  void Execute(Arguments::State& arguments, const dnnl::memory& b) const {
    std::array<dnnl_exec_arg_t, 5> list;
    int count = 0;
    const auto add = [&](int name, const dnnl::memory& memory) {
      list[static_cast<std::size_t>(count++)] = {name, memory.get()};
    };
    add(DNNL_ARG_SRC, arguments.a);
    add(DNNL_ARG_WEIGHTS, b);
    add(DNNL_ARG_DST, arguments.c);
    add(DNNL_ARG_SCRATCHPAD, arguments.scratch);
    if (shape.has_bias) add(DNNL_ARG_BIAS, arguments.bias);
    // The C call: the C++ one builds a hash map of the arguments each time.
    CheckStatus(dnnl_primitive_execute(primitive.get(), arguments.stream.get(), count, list.data()),
                "matmul");
  }

  MatmulShape shape;
  dnnl::matmul::primitive_desc description;
  dnnl::matmul primitive;
};

namespace {

void SetHandles(const MatmulShape& shape, dnnl::memory& a_memory, dnnl::memory& bias_memory,
                dnnl::memory& c_memory, const float* a, const float* bias, float* c) {
  a_memory.set_data_handle(Handle(a));
  c_memory.set_data_handle(c);
  if (shape.has_bias) bias_memory.set_data_handle(Handle(bias));
}

}  // namespace

Matmul::Matmul(const MatmulShape& shape) {
  UseOneThreadPerProduct();
  try {
    state_ = std::make_unique<State>(shape);
  } catch (const dnnl::error& error) {
    throw std::runtime_error(fmt::format("oneDNN has no kernel for a product {} x {} x {}: {}",
                                         shape.m, shape.k, shape.n, error.what()));
  }
}
Matmul::~Matmul() = default;
Matmul::Matmul(Matmul&&) noexcept = default;
Matmul& Matmul::operator=(Matmul&&) noexcept = default;

Matmul::Arguments Matmul::MakeArguments() const {
  const MatmulShape& shape = state_->shape;
  const dnnl::engine& engine = CpuEngine();
  auto arguments = std::make_unique<Arguments::State>();
  arguments->a =
      dnnl::memory(MatrixDesc(shape.m, shape.k, shape.a_is_transposed), engine, DNNL_MEMORY_NONE);
  if (!shape.b_is_packed) {
    arguments->b =
        dnnl::memory(MatrixDesc(shape.k, shape.n, shape.b_is_transposed), engine, DNNL_MEMORY_NONE);
  }
  arguments->bias = dnnl::memory(MatrixDesc(1, shape.n, false), engine, DNNL_MEMORY_NONE);
  arguments->c = dnnl::memory(MatrixDesc(shape.m, shape.n, false), engine, DNNL_MEMORY_NONE);
  arguments->scratch = dnnl::memory(state_->description.scratchpad_desc(), engine);
  return Arguments(std::move(arguments));
}

PackedMatrix Matmul::MakePacked() const {
  DCN_CHECK(state_->shape.b_is_packed);
  PackedMatrix packed;
  packed.state_ = std::make_unique<PackedMatrix::State>(
      PackedMatrix::State{dnnl::memory(state_->description.weights_desc(), CpuEngine())});
  return packed;
}

void Matmul::Pack(const float* b, PackedMatrix& packed) const {
  UseOneThreadPerProduct();
  const MatmulShape& shape = state_->shape;
  dnnl::memory plain(MatrixDesc(shape.k, shape.n, shape.b_is_transposed), CpuEngine(), Handle(b));
  dnnl::stream stream(CpuEngine());
  dnnl::reorder(plain, packed.state_->memory).execute(stream, plain, packed.state_->memory);
}

void Matmul::Run(Arguments& arguments, const float* a, const float* b, const float* bias,
                 float* c) const {
  Arguments::State& state = *arguments.state_;
  SetHandles(state_->shape, state.a, state.bias, state.c, a, bias, c);
  state.b.set_data_handle(Handle(b));
  state_->Execute(state, state.b);
}

void Matmul::Run(Arguments& arguments, const float* a, const PackedMatrix& b, const float* bias,
                 float* c) const {
  Arguments::State& state = *arguments.state_;
  SetHandles(state_->shape, state.a, state.bias, state.c, a, bias, c);
  state_->Execute(state, b.state_->memory);
}

void UseOneThreadPerProduct() {
  // The library's OpenMP runtime is its own choice (libgomp, libiomp5, …), so it is asked for by
  // name; the setting belongs to the calling thread.
  using SetThreads = void (*)(int);
  static const auto set_threads =
      reinterpret_cast<SetThreads>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
  if (set_threads != nullptr) set_threads(1);
}

std::string OnednnDescription() {
  const dnnl_version_t& version = *dnnl::version();
  std::string_view isa = "other instruction set";
  switch (dnnl::get_effective_cpu_isa()) {
    case dnnl::cpu_isa::sse41:
      isa = "sse41";
      break;
    case dnnl::cpu_isa::avx:
      isa = "avx";
      break;
    case dnnl::cpu_isa::avx2:
      isa = "avx2";
      break;
    case dnnl::cpu_isa::avx2_vnni:
      isa = "avx2_vnni";
      break;
    case dnnl::cpu_isa::avx512_core:
      isa = "avx512_core";
      break;
    case dnnl::cpu_isa::avx512_core_vnni:
      isa = "avx512_core_vnni";
      break;
    case dnnl::cpu_isa::avx512_core_bf16:
      isa = "avx512_core_bf16";
      break;
    default:
      break;
  }
  return fmt::format("onednn {}.{}.{} ({})", version.major, version.minor, version.patch, isa);
}

}  // namespace dcn::model
