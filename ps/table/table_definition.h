// What makes a table's definition valid, and in what two of them differ.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/status.h"
#include "ps/protocol.h"

namespace dcn::ps {

/// The widest row a table may have.
inline constexpr std::uint32_t kMaxDimension = 65536;

/// "adam", "lazy-adam", "adagrad", "sgd".
[[nodiscard]] std::string_view OptimizerName(const OptimizerOptions& optimizer);

/// Floats of optimizer state per weight: 2, 2, 1, 0.
[[nodiscard]] std::size_t StateCount(const OptimizerOptions& optimizer);

/// kInvalidArgument: an empty name, a dimension outside [1, kMaxDimension], a limit, beta, epsilon
/// or accumulator outside its range; names the table, the field, the value and the range.
[[nodiscard]] Status ValidateTable(const TableDefinition& table);

/// The first field in which two definitions differ with both values ("dimension: 16, not 32", where
/// 32 is `expected`'s), or nothing if they are equal.
[[nodiscard]] std::optional<std::string> FirstDifference(const TableDefinition& given,
                                                         const TableDefinition& expected);

}  // namespace dcn::ps
