// One matrix product of fixed shape on one thread, by oneDNN: the thin wrapper that hides the
// library's version (2.6 as in Debian 12, 3.x elsewhere) and its headers.
//
// The library picks and compiles a kernel when a product is made; later calls allocate nothing.
#pragma once

#include <cstddef>
#include <memory>

#include "worker/model/bfloat16.h"
#include "worker/model/precision.h"

namespace dcn::model {

/// A matrix that a product reads, and what its elements are.
struct InputMatrix {
  // NOLINTNEXTLINE(google-explicit-constructor): the pointer says it all
  InputMatrix(const float* matrix) : data(matrix), precision(Precision::kFp32) {}
  // NOLINTNEXTLINE(google-explicit-constructor): the pointer says it all
  InputMatrix(const Bfloat16* matrix) : data(matrix), precision(Precision::kBf16) {}
  const void* data;
  Precision precision;
};

/// A matrix that a product writes.
struct OutputMatrix {
  // NOLINTNEXTLINE(google-explicit-constructor): the pointer says it all
  OutputMatrix(float* matrix) : data(matrix), precision(Precision::kFp32) {}
  // NOLINTNEXTLINE(google-explicit-constructor): the pointer says it all
  OutputMatrix(Bfloat16* matrix) : data(matrix), precision(Precision::kBf16) {}
  void* data;
  Precision precision;
};

/// C[m, n] = A[m, k] B[k, n] (+ bias[n]) (then ReLU), or C += A B. Sums are float32, as is the
/// bias.
struct MatmulShape {
  std::size_t m = 0;
  std::size_t k = 0;
  std::size_t n = 0;
  bool a_is_transposed = false;  // A is stored as [k, m]
  bool b_is_transposed = false;  // B is stored as [n, k]
  bool b_is_packed = false;      // B is given in the kernel's own layout, made by Pack
  bool has_bias = false;
  bool has_relu = false;
  bool accumulates = false;               // adds to C instead of overwriting it
  Precision operands = Precision::kFp32;  // of A and B
  Precision result = Precision::kFp32;    // of C
};

/// B in the layout that one Matmul's kernel reads fastest.
class PackedMatrix {
 public:
  PackedMatrix();
  ~PackedMatrix();
  PackedMatrix(PackedMatrix&&) noexcept;
  PackedMatrix& operator=(PackedMatrix&&) noexcept;

 private:
  friend class Matmul;
  struct State;
  std::unique_ptr<State> state_;
};

/// A product that is ready to run.
/// Thread safety: const calls may run on several threads, each with an Arguments of its own.
class Matmul {
 public:
  /// The library's per-thread handles for one product.
  class Arguments {
   public:
    ~Arguments();
    Arguments(Arguments&&) noexcept;
    Arguments& operator=(Arguments&&) noexcept;

   private:
    friend class Matmul;
    struct State;
    explicit Arguments(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
  };

  /// Chooses a kernel for one thread. Throws std::runtime_error when the library has none.
  explicit Matmul(const MatmulShape& shape);
  ~Matmul();
  Matmul(Matmul&&) noexcept;
  Matmul& operator=(Matmul&&) noexcept;

  [[nodiscard]] Arguments MakeArguments() const;
  /// Bytes that Run needs while it runs.
  [[nodiscard]] std::size_t scratch_size() const;

  /// Memory for a packed B. REQUIRES: b_is_packed.
  [[nodiscard]] PackedMatrix MakePacked() const;
  /// Fills it from B as stored ([k, n], or [n, k] when transposed), rounding to the operands'
  /// precision.
  void Pack(const float* b, PackedMatrix& packed) const;

  /// Runs with a plain B. bias: [n], or nullptr without one. scratch: scratch_size() bytes on a
  /// cache line boundary, nobody else's meanwhile. REQUIRES, as the next: matrices of the shape's
  /// precisions.
  void Run(Arguments& arguments, InputMatrix a, InputMatrix b, const float* bias, OutputMatrix c,
           void* scratch) const;
  /// Runs with a packed B.
  void Run(Arguments& arguments, InputMatrix a, const PackedMatrix& b, const float* bias,
           OutputMatrix c, void* scratch) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Makes oneDNN's calls on the calling thread use this thread only.
void UseOneThreadPerProduct();

}  // namespace dcn::model
