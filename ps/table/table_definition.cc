#include "ps/table/table_definition.h"

#include <cmath>
#include <cstdint>
#include <type_traits>

namespace dcn::ps {
namespace {

Status CheckRange(const TableDefinition& table, std::string_view field, float value, bool in_range,
                  std::string_view range) {
  if (in_range && std::isfinite(value)) return Status();
  return Error(StatusCode::kInvalidArgument, "table '{}': {} is {}, must be {}", table.name, field,
               value, range);
}

Status CheckBeta(const TableDefinition& table, std::string_view field, float beta) {
  return CheckRange(table, field, beta, beta >= 0.0F && beta < 1.0F, "in [0, 1)");
}

// Above zero as the steps see it, with denormals flushed: otherwise a still row divides zero by it.
Status CheckEpsilon(const TableDefinition& table, float epsilon) {
  return CheckRange(table, "epsilon", epsilon, epsilon >= 1.17549435e-38F,
                    "a positive normal number");
}

Status ValidateOptimizer(const TableDefinition& table, const OptimizerOptions& optimizer) {
  if (const auto* adagrad = std::get_if<AdagradOptions>(&optimizer)) {
    const float initial = adagrad->initial_accumulator;
    DCN_RETURN_IF_ERROR(CheckRange(table, "initial_accumulator", initial, initial >= 0.0F, ">= 0"));
    return CheckEpsilon(table, adagrad->epsilon);
  }
  const auto check_adam = [&table](const auto& adam) {
    DCN_RETURN_IF_ERROR(CheckBeta(table, "beta_1", adam.beta_1));
    DCN_RETURN_IF_ERROR(CheckBeta(table, "beta_2", adam.beta_2));
    return CheckEpsilon(table, adam.epsilon);
  };
  if (const auto* adam = std::get_if<AdamOptions>(&optimizer)) return check_adam(*adam);
  if (const auto* lazy = std::get_if<LazyAdamOptions>(&optimizer)) return check_adam(*lazy);
  return Status();
}

template <typename T>
std::optional<std::string> Differ(std::string_view field, const T& given, const T& expected) {
  if (given == expected) return std::nullopt;
  return fmt::format("{}: {}, not {}", field, given, expected);
}

// Both hold the same alternative.
std::optional<std::string> OptimizerDifference(const OptimizerOptions& given,
                                               const OptimizerOptions& expected) {
  const auto adam_difference = [](const auto& a, const auto& b) {
    auto difference = Differ("beta_1", a.beta_1, b.beta_1);
    if (!difference) difference = Differ("beta_2", a.beta_2, b.beta_2);
    if (!difference) difference = Differ("epsilon", a.epsilon, b.epsilon);
    return difference;
  };
  if (const auto* a = std::get_if<AdamOptions>(&given)) {
    return adam_difference(*a, std::get<AdamOptions>(expected));
  }
  if (const auto* a = std::get_if<LazyAdamOptions>(&given)) {
    return adam_difference(*a, std::get<LazyAdamOptions>(expected));
  }
  if (const auto* a = std::get_if<AdagradOptions>(&given)) {
    const auto& b = std::get<AdagradOptions>(expected);
    auto difference = Differ("initial_accumulator", a->initial_accumulator, b.initial_accumulator);
    if (!difference) difference = Differ("epsilon", a->epsilon, b.epsilon);
    return difference;
  }
  return std::nullopt;
}

}  // namespace

std::string_view OptimizerName(const OptimizerOptions& optimizer) {
  constexpr std::string_view kNames[] = {"adam", "lazy-adam", "adagrad", "sgd"};
  static_assert(std::variant_size_v<OptimizerOptions> == std::size(kNames));
  return kNames[optimizer.index()];
}

std::size_t StateCount(const OptimizerOptions& optimizer) {
  constexpr std::size_t kCounts[] = {2, 2, 1, 0};
  static_assert(std::variant_size_v<OptimizerOptions> == std::size(kCounts));
  return kCounts[optimizer.index()];
}

Status ValidateTable(const TableDefinition& table) {
  if (table.name.empty()) {
    return Error(StatusCode::kInvalidArgument, "a table has no name; name it");
  }
  if (table.dimension < 1 || table.dimension > kMaxDimension) {
    return Error(StatusCode::kInvalidArgument, "table '{}': dimension is {}, must be in [1, {}]",
                 table.name, table.dimension, kMaxDimension);
  }
  const float limit = table.initializer.limit;
  DCN_RETURN_IF_ERROR(CheckRange(table, "initializer limit", limit, limit >= 0.0F, ">= 0"));
  return ValidateOptimizer(table, table.optimizer);
}

std::optional<std::string> FirstDifference(const TableDefinition& given,
                                           const TableDefinition& expected) {
  auto difference = Differ("name", given.name, expected.name);
  if (!difference) difference = Differ("dimension", given.dimension, expected.dimension);
  if (!difference) {
    difference = Differ("initializer seed", given.initializer.seed, expected.initializer.seed);
  }
  if (!difference) {
    difference = Differ("initializer limit", given.initializer.limit, expected.initializer.limit);
  }
  if (!difference) {
    difference =
        Differ("optimizer", OptimizerName(given.optimizer), OptimizerName(expected.optimizer));
  }
  if (!difference) difference = OptimizerDifference(given.optimizer, expected.optimizer);
  return difference;
}

}  // namespace dcn::ps
