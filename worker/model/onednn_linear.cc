#include "worker/model/onednn_linear.h"

#include <utility>

namespace dcn::model {

OnednnLinear::OnednnLinear(const LinearSpec& spec, int threads, std::size_t full_rows)
    : spec_(spec), full_rows_(full_rows), arguments_(static_cast<std::size_t>(threads)) {
  const Products& full = ProductsFor(full_rows);
  packed_forward_ = full.forward.MakePacked();
  packed_backward_ = full.input_gradient.MakePacked();
}

OnednnLinear::Products OnednnLinear::MakeProducts(std::size_t rows) const {
  const bool is_packed = rows == full_rows_;
  const MatmulShape forward{.m = rows,
                            .k = spec_.inputs,
                            .n = spec_.outputs,
                            .b_is_packed = is_packed,
                            .has_bias = spec_.has_bias,
                            .has_relu = spec_.has_relu};
  const MatmulShape input_gradient{.m = rows,
                                   .k = spec_.outputs,
                                   .n = spec_.inputs,
                                   .b_is_transposed = true,
                                   .b_is_packed = is_packed,
                                   .accumulates = spec_.adds_input_gradient};
  const MatmulShape kernel_gradient{
      .m = spec_.inputs, .k = rows, .n = spec_.outputs, .a_is_transposed = true};
  return {Matmul(forward), Matmul(input_gradient), Matmul(kernel_gradient)};
}

const OnednnLinear::Products& OnednnLinear::ProductsFor(std::size_t rows) {
  const std::lock_guard lock(products_mutex_);
  std::unique_ptr<Products>& products = products_[rows];
  if (!products) products = std::make_unique<Products>(MakeProducts(rows));
  return *products;
}

OnednnLinear::Arguments& OnednnLinear::ArgumentsFor(int thread, std::size_t rows) {
  std::map<std::size_t, Arguments>& mine = arguments_[static_cast<std::size_t>(thread)];
  const auto found = mine.find(rows);
  if (found != mine.end()) return found->second;
  const Products& products = ProductsFor(rows);
  return mine
      .emplace(rows, Arguments{&products, products.forward.MakeArguments(),
                               products.input_gradient.MakeArguments(),
                               products.kernel_gradient.MakeArguments()})
      .first->second;
}

void OnednnLinear::PackForward() {
  ProductsFor(full_rows_).forward.Pack(kernel(), packed_forward_);
}

void OnednnLinear::PackBackward() {
  ProductsFor(full_rows_).input_gradient.Pack(kernel(), packed_backward_);
}

void OnednnLinear::Forward(int thread, std::size_t rows, const float* x, float* y) {
  Arguments& arguments = ArgumentsFor(thread, rows);
  const Matmul& product = arguments.products->forward;
  const float* bias = spec_.has_bias ? parameters_ + spec_.bias_offset : nullptr;
  if (rows == full_rows_) {
    product.Run(arguments.forward, x, packed_forward_, bias, y);
  } else {
    product.Run(arguments.forward, x, kernel(), bias, y);
  }
}

void OnednnLinear::InputGradient(int thread, std::size_t rows, const float* z_gradient,
                                 float* x_gradient) {
  Arguments& arguments = ArgumentsFor(thread, rows);
  const Matmul& product = arguments.products->input_gradient;
  if (rows == full_rows_) {
    product.Run(arguments.input_gradient, z_gradient, packed_backward_, nullptr, x_gradient);
  } else {
    product.Run(arguments.input_gradient, z_gradient, kernel(), nullptr, x_gradient);
  }
}

void OnednnLinear::KernelGradient(int thread, std::size_t rows, const float* x,
                                  const float* z_gradient, float* kernel_gradient) {
  Arguments& arguments = ArgumentsFor(thread, rows);
  arguments.products->kernel_gradient.Run(arguments.kernel_gradient, x, z_gradient, nullptr,
                                          kernel_gradient);
}

}  // namespace dcn::model
