#include "worker/model/onednn_matmul.h"

#include <array>
#include <dlfcn.h>
#include <stdexcept>
#include <utility>

#include <dnnl.hpp>
#include <fmt/core.h>

#include "common/check.h"

namespace dcn::model {
namespace {

using Dims = dnnl::memory::dims;
using Tag = dnnl::memory::format_tag;
constexpr auto kF32 = dnnl::memory::data_type::f32;

dnnl::memory::data_type DataType(Precision precision) {
  return precision == Precision::kBf16 ? dnnl::memory::data_type::bf16 : kF32;
}

const dnnl::engine& CpuEngine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

std::int64_t Dim(std::size_t size) { return static_cast<std::int64_t>(size); }

dnnl::memory::desc MatrixDesc(std::size_t rows, std::size_t columns, bool is_transposed,
                              Precision precision) {
  return {Dims{Dim(rows), Dim(columns)}, DataType(precision), is_transposed ? Tag::ba : Tag::ab};
}

dnnl::memory::desc DescA(const MatmulShape& shape) {
  return MatrixDesc(shape.m, shape.k, shape.a_is_transposed, shape.operands);
}

// As it is stored, in either precision.
dnnl::memory::desc DescPlainB(const MatmulShape& shape, Precision precision) {
  return MatrixDesc(shape.k, shape.n, shape.b_is_transposed, precision);
}

dnnl::memory::desc DescB(const MatmulShape& shape) {
  if (!shape.b_is_packed) return DescPlainB(shape, shape.operands);
  return {Dims{Dim(shape.k), Dim(shape.n)}, DataType(shape.operands), Tag::any};
}

dnnl::memory::desc DescBias(const MatmulShape& shape) {
  return MatrixDesc(1, shape.n, false, Precision::kFp32);
}

dnnl::memory::desc DescC(const MatmulShape& shape) {
  return MatrixDesc(shape.m, shape.n, false, shape.result);
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
  const auto a = DescA(shape);
  const auto b = DescB(shape);
  const auto bias = DescBias(shape);
  const auto c = DescC(shape);
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
void* Handle(const void* data) { return const_cast<void*>(data); }

}  // namespace

// The packing is made once, too: a kernel that is looked up, memory objects.
struct PackedMatrix::State {
  State(const dnnl::memory::desc& plain_desc, const dnnl::memory::desc& packed_desc)
      : plain(plain_desc, CpuEngine(), DNNL_MEMORY_NONE),
        packed(packed_desc, CpuEngine()),
        reorder(plain, packed),
        stream(CpuEngine()) {}

  dnnl::memory plain;  // where the matrix is that is packed
  dnnl::memory packed;
  dnnl::reorder reorder;
  dnnl::stream stream;
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
                dnnl::memory& c_memory, InputMatrix a, const float* bias, OutputMatrix c) {
  DCN_CHECK(a.precision == shape.operands);
  DCN_CHECK(c.precision == shape.result);
  a_memory.set_data_handle(Handle(a.data));
  c_memory.set_data_handle(c.data);
  if (shape.has_bias) bias_memory.set_data_handle(Handle(bias));
}

}  // namespace

Matmul::Matmul(const MatmulShape& shape) {
  UseOneThreadPerProduct();
  try {
    state_ = std::make_unique<State>(shape);
  } catch (const dnnl::error& error) {
    throw std::runtime_error(fmt::format("oneDNN has no kernel for a {} product {} x {} x {}: {}",
                                         shape.operands == Precision::kBf16 ? "bf16" : "fp32",
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
  arguments->a = dnnl::memory(DescA(shape), engine, DNNL_MEMORY_NONE);
  if (!shape.b_is_packed) arguments->b = dnnl::memory(DescB(shape), engine, DNNL_MEMORY_NONE);
  arguments->bias = dnnl::memory(DescBias(shape), engine, DNNL_MEMORY_NONE);
  arguments->c = dnnl::memory(DescC(shape), engine, DNNL_MEMORY_NONE);
  arguments->scratch =
      dnnl::memory(state_->description.scratchpad_desc(), engine, DNNL_MEMORY_NONE);
  return Arguments(std::move(arguments));
}

std::size_t Matmul::scratch_size() const {
  return state_->description.scratchpad_desc().get_size();
}

PackedMatrix Matmul::MakePacked() const {
  DCN_CHECK(state_->shape.b_is_packed);
  UseOneThreadPerProduct();
  PackedMatrix packed;
  packed.state_ = std::make_unique<PackedMatrix::State>(DescPlainB(state_->shape, Precision::kFp32),
                                                        state_->description.weights_desc());
  return packed;
}

void Matmul::Pack(const float* b, PackedMatrix& packed) const {
  UseOneThreadPerProduct();
  PackedMatrix::State& state = *packed.state_;
  state.plain.set_data_handle(Handle(b));
  const std::array<dnnl_exec_arg_t, 2> list = {
      {{DNNL_ARG_FROM, state.plain.get()}, {DNNL_ARG_TO, state.packed.get()}}};
  CheckStatus(dnnl_primitive_execute(state.reorder.get(), state.stream.get(),
                                     static_cast<int>(list.size()), list.data()),
              "packing");
}

void Matmul::Run(Arguments& arguments, InputMatrix a, InputMatrix b, const float* bias,
                 OutputMatrix c, void* scratch) const {
  Arguments::State& state = *arguments.state_;
  SetHandles(state_->shape, state.a, state.bias, state.c, a, bias, c);
  state.scratch.set_data_handle(scratch);
  DCN_CHECK(b.precision == state_->shape.operands);
  state.b.set_data_handle(Handle(b.data));
  state_->Execute(state, state.b);
}

void Matmul::Run(Arguments& arguments, InputMatrix a, const PackedMatrix& b, const float* bias,
                 OutputMatrix c, void* scratch) const {
  Arguments::State& state = *arguments.state_;
  SetHandles(state_->shape, state.a, state.bias, state.c, a, bias, c);
  state.scratch.set_data_handle(scratch);
  state_->Execute(state, b.state_->packed);
}

void UseOneThreadPerProduct() {
  // The library's OpenMP runtime is its own choice (libgomp, libiomp5, …), so it is asked for by
  // name; the setting belongs to the calling thread.
  using SetThreads = void (*)(int);
  static const auto set_threads =
      reinterpret_cast<SetThreads>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
  if (set_threads != nullptr) set_threads(1);
}

}  // namespace dcn::model
