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
    : options_(DenseRule(options)), state_{std::move(parameters), {}, {}} {
  Assign(std::vector<float>(state_.parameters));
}

void DenseOptimizer::Assign(std::span<const float> parameters) {
  DCN_CHECK_EQ(parameters.size(), state_.parameters.size());
  std::copy(parameters.begin(), parameters.end(), state_.parameters.begin());
  if (std::holds_alternative<ps::AdamOptions>(options_)) {
    state_.first_moments.assign(state_.parameters.size(), 0.0F);
    state_.second_moments.assign(state_.parameters.size(), 0.0F);
  } else if (const auto* adagrad = std::get_if<ps::AdagradOptions>(&options_)) {
    state_.first_moments.assign(state_.parameters.size(), adagrad->initial_accumulator);
  }
}

bool DenseOptimizer::Restore(DenseState state) {
  if (state.parameters.size() != state_.parameters.size() ||
      state.first_moments.size() != state_.first_moments.size() ||
      state.second_moments.size() != state_.second_moments.size()) {
    return false;
  }
  state_ = std::move(state);
  return true;
}

float DenseOptimizer::StepSize(ps::Step step, float learning_rate) const {
  const auto* adam = std::get_if<ps::AdamOptions>(&options_);
  if (adam == nullptr) return learning_rate;
  return ps::AdamStepSize(learning_rate, adam->beta_1, adam->beta_2, step);
}

void DenseOptimizer::Update(ps::Step step, float learning_rate, std::size_t begin,
                            std::span<const float> gradient) {
  const std::size_t count = gradient.size();
  const std::span<float> w = std::span(state_.parameters).subspan(begin, count);
  if (const auto* adam = std::get_if<ps::AdamOptions>(&options_)) {
    const ps::AdamCoefficients coefficients{.beta_1 = adam->beta_1,
                                            .beta_2 = adam->beta_2,
                                            .epsilon = adam->epsilon,
                                            .step_size = StepSize(step, learning_rate)};
    ps::AdamUpdate(coefficients, w, std::span(state_.first_moments).subspan(begin, count),
                   std::span(state_.second_moments).subspan(begin, count), gradient);
  } else if (const auto* adagrad = std::get_if<ps::AdagradOptions>(&options_)) {
    ps::AdagradUpdate(*adagrad, learning_rate, w,
                      std::span(state_.first_moments).subspan(begin, count), gradient);
  } else {
    ps::SgdUpdate(learning_rate, w, gradient);
  }
}

}  // namespace dcn::train
