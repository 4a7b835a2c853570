#include "benchmarks/step_request.h"

#include <array>

#include "common/random.h"

namespace dcn::benchmarks {
namespace {

// Distinct films, users, zip codes, occupations, genders and ages in 8,192 shuffled ratings.
constexpr std::array<std::size_t, 6> kTableKeys = {2150, 3370, 2260, 21, 2, 7};
constexpr TreeNode kRoot{0, 0};

}  // namespace

StepRequest::StepRequest(std::size_t dimension) : dimension_(dimension) {
  for (const std::size_t count : kTableKeys) {
    for (std::size_t i = 0; i < count; ++i) keys_.push_back(1 + 3 * i);
  }
  nodes_.assign(keys_.size(), 0);
  values_.resize(keys_.size() * dimension);
  RandomStream(1, StreamId("benchmark/gradients")).FillUniform(0.01F, 0, values_);
  pulled_.resize(values_.size());
  std::size_t first = 0;
  for (ps::TableId table = 0; table < kTableKeys.size(); ++table) {
    const std::size_t count = kTableKeys[table];
    const auto keys = std::span(keys_).subspan(first, count);
    gradients_.push_back(
        {.table = table,
         .keys = keys,
         .nodes = std::span(nodes_).subspan(first, count),
         .values = std::span(values_).subspan(first * dimension, count * dimension)});
    pull_.push_back({.table = table,
                     .keys = keys,
                     .values = std::span(pulled_).subspan(first * dimension, count * dimension)});
    first += count;
  }
}

ps::PushRequest StepRequest::push() const {
  return {.rank = 0,
          .step = kStep,
          .learning_rate = 0.01F,
          .nodes = std::span(&kRoot, 1),
          .gradients = gradients_};
}

}  // namespace dcn::benchmarks
