#include "worker/train/dense_optimizer.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "common/check.h"
#include "ps/table/optimizer/adagrad.h"
#include "ps/table/optimizer/adam.h"
#include "ps/table/optimizer/sgd.h"

namespace dcn::train {
namespace {

// Lazy Adam's rule for a row that is touched at every step is Adam's.
ps::OptimizerOptions DenseRule(const ps::OptimizerOptions& options) {
  if (const auto* lazy = std::get_if<ps::LazyAdamOptions>(&options)) {
    return ps::AdamOptions{
        .beta_1 = lazy->beta_1, .beta_2 = lazy->beta_2, .epsilon = lazy->epsilon};
  }
  return options;
}

}  // namespace

DenseOptimizer::DenseOptimizer(const ps::OptimizerOptions& options, std::vector<float> parameters)
    : options_(DenseRule(options)), parameters_(std::move(parameters)) {
  Assign(std::vector<float>(parameters_));
}

void DenseOptimizer::Assign(std::span<const float> parameters) {
  DCN_CHECK_EQ(parameters.size(), parameters_.size());
  std::copy(parameters.begin(), parameters.end(), parameters_.begin());
  if (std::holds_alternative<ps::AdamOptions>(options_)) {
    first_moments_.assign(parameters_.size(), 0.0F);
    second_moments_.assign(parameters_.size(), 0.0F);
  } else if (const auto* adagrad = std::get_if<ps::AdagradOptions>(&options_)) {
    first_moments_.assign(parameters_.size(), adagrad->initial_accumulator);
  }
}

void DenseOptimizer::Update(ps::Step step, float learning_rate, std::size_t begin,
                            std::span<const float> gradient) {
  const std::size_t count = gradient.size();
  const std::span<float> w = std::span(parameters_).subspan(begin, count);
  if (const auto* adam = std::get_if<ps::AdamOptions>(&options_)) {
    const ps::AdamCoefficients coefficients{
        .beta_1 = adam->beta_1,
        .beta_2 = adam->beta_2,
        .epsilon = adam->epsilon,
        .step_size = ps::AdamStepSize(learning_rate, adam->beta_1, adam->beta_2, step)};
    ps::AdamUpdate(coefficients, w, std::span(first_moments_).subspan(begin, count),
                   std::span(second_moments_).subspan(begin, count), gradient);
  } else if (const auto* adagrad = std::get_if<ps::AdagradOptions>(&options_)) {
    ps::AdagradUpdate(*adagrad, learning_rate, w, std::span(first_moments_).subspan(begin, count),
                      gradient);
  } else {
    ps::SgdUpdate(learning_rate, w, gradient);
  }
}

}  // namespace dcn::train
