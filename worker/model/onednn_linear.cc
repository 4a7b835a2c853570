#include "worker/model/onednn_linear.h"

#include <algorithm>
#include <utility>

#include "common/check.h"
#include "worker/model/elementwise.h"

namespace dcn::model {

LinearSpec LinearSpecOf(const ModelSpec& model, const std::string& kernel, Precision precision) {
  const std::vector<DenseParameter> parameters = model.DenseParameters();
  const auto weights = std::find_if(parameters.begin(), parameters.end(),
                                    [&](const DenseParameter& p) { return p.name == kernel; });
  DCN_CHECK(weights != parameters.end());
  LinearSpec linear;
  linear.precision = precision;
  linear.inputs = weights->shape[0];
  linear.outputs = weights->shape[1];
  linear.kernel_offset = weights->offset;
  const bool is_down = kernel.ends_with("kernel_u");
  const bool is_up = kernel.ends_with("kernel_v");
  if (!is_down) {  // A layer's bias follows its kernel in model order.
    const DenseParameter& bias = *(weights + 1);
    DCN_CHECK(bias.name.ends_with("/bias"));
    linear.has_bias = true;
    linear.bias_offset = bias.offset;
  }
  linear.has_relu = kernel.starts_with("deep/");
  // The gradient of a cross layer's x starts with the parts that bypass W.
  linear.adds_input_gradient = !linear.has_relu && !is_up;
  return linear;
}

OnednnLinear::OnednnLinear(const LinearSpec& spec, ProductScratch& scratch, std::size_t full_rows)
    : spec_(spec), scratch_(scratch), full_rows_(full_rows), arguments_(scratch.size()) {
  const Products& full = ProductsFor(full_rows);
  packed_forward_ = full.forward.MakePacked();
  packed_backward_ = full.input_gradient.MakePacked();
  // For slices of this length no thread has anything to make later.
  for (std::size_t thread = 0; thread < scratch.size(); ++thread) {
    (void)ArgumentsFor(static_cast<int>(thread), full_rows);
  }
  if (spec_.precision == Precision::kBf16) {
    rounded_kernel_ = AlignedBlock<Bfloat16>(spec_.inputs * spec_.outputs);
  }
}

OnednnLinear::Products OnednnLinear::MakeProducts(std::size_t rows) const {
  const bool is_packed = rows == full_rows_;
  const MatmulShape forward{.m = rows,
                            .k = spec_.inputs,
                            .n = spec_.outputs,
                            .b_is_packed = is_packed,
                            .has_bias = spec_.has_bias,
                            .has_relu = spec_.has_relu,
                            .operands = spec_.precision,
                            .result = spec_.precision};
  const MatmulShape input_gradient{.m = rows,
                                   .k = spec_.outputs,
                                   .n = spec_.inputs,
                                   .b_is_transposed = true,
                                   .b_is_packed = is_packed,
                                   .accumulates = spec_.adds_input_gradient,
                                   .operands = spec_.precision,
                                   .result = spec_.precision};
  const MatmulShape kernel_gradient{.m = spec_.inputs,
                                    .k = rows,
                                    .n = spec_.outputs,
                                    .a_is_transposed = true,
                                    .operands = spec_.precision};
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
  for (const Matmul* product :
       {&products.forward, &products.input_gradient, &products.kernel_gradient}) {
    scratch_[static_cast<std::size_t>(thread)].EnsureSize(product->scratch_size());
  }
  return mine
      .emplace(rows, Arguments{&products, products.forward.MakeArguments(),
                               products.input_gradient.MakeArguments(),
                               products.kernel_gradient.MakeArguments()})
      .first->second;
}

void OnednnLinear::PackForward() {
  ProductsFor(full_rows_).forward.Pack(kernel(), packed_forward_);
  if (rounded_kernel_.size() > 0) Round(rounded_kernel_.size(), kernel(), rounded_kernel_.get());
}

void OnednnLinear::PackBackward() {
  ProductsFor(full_rows_).input_gradient.Pack(kernel(), packed_backward_);
}

void OnednnLinear::Forward(int thread, std::size_t rows, InputMatrix x, OutputMatrix y) {
  Arguments& arguments = ArgumentsFor(thread, rows);
  const Matmul& product = arguments.products->forward;
  const float* bias = spec_.has_bias ? parameters_ + spec_.bias_offset : nullptr;
  if (rows == full_rows_) {
    product.Run(arguments.forward, x, packed_forward_, bias, y, scratch(thread));
  } else {
    product.Run(arguments.forward, x, operand_kernel(), bias, y, scratch(thread));
  }
}

void OnednnLinear::InputGradient(int thread, std::size_t rows, InputMatrix z_gradient,
                                 OutputMatrix x_gradient) {
  Arguments& arguments = ArgumentsFor(thread, rows);
  const Matmul& product = arguments.products->input_gradient;
  if (rows == full_rows_) {
    product.Run(arguments.input_gradient, z_gradient, packed_backward_, nullptr, x_gradient,
                scratch(thread));
  } else {
    product.Run(arguments.input_gradient, z_gradient, operand_kernel(), nullptr, x_gradient,
                scratch(thread));
  }
}

void OnednnLinear::KernelGradient(int thread, std::size_t rows, InputMatrix x,
                                  InputMatrix z_gradient, float* kernel_gradient) {
  Arguments& arguments = ArgumentsFor(thread, rows);
  arguments.products->kernel_gradient.Run(arguments.kernel_gradient, x, z_gradient, nullptr,
                                          kernel_gradient, scratch(thread));
}

}  // namespace dcn::model
