#include "ps/server/request_check.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <variant>
#include <vector>

#include "ps/table/table_definition.h"

namespace dcn::ps {
namespace {

Status CheckTable(TableId table, std::span<const TableDefinition> tables) {
  if (table < tables.size()) return Status();
  return Error(StatusCode::kOutOfRange,
               "table {} does not exist: {} tables were created; create all tables first", table,
               tables.size());
}

Status CheckValueCount(const TableDefinition& table, std::size_t keys, std::size_t values) {
  if (values / table.dimension == keys && values % table.dimension == 0) return Status();
  return Error(StatusCode::kInvalidArgument,
               "table '{}': {} values for {} keys, must be keys x dimension {}", table.name, values,
               keys, table.dimension);
}

// One pass over the bits, which compilers turn into vector instructions.
bool AllFinite(std::span<const float> values) {
  constexpr std::uint32_t kMagnitude = 0x7fffffff;
  constexpr std::uint32_t kInfinity = 0x7f800000;
  std::uint32_t largest = 0;
  for (const float value : values) {
    largest = std::max(largest, std::bit_cast<std::uint32_t>(value) & kMagnitude);
  }
  return largest < kInfinity;
}

Status CheckFinite(const TableDefinition& table, std::span<const Key> keys,
                   std::span<const float> values, std::string_view what) {
  if (AllFinite(values)) return Status();
  const auto bad = std::ranges::find_if(values, [](float value) { return !std::isfinite(value); });
  const auto position = static_cast<std::size_t>(bad - values.begin());
  return Error(StatusCode::kInvalidArgument, "table '{}', key {}: {} of lane {} is {}, not finite",
               table.name, keys[position / table.dimension], what, position % table.dimension,
               *bad);
}

Status CheckNodes(std::span<const TreeNode> nodes) {
  constexpr std::uint64_t kMaxLeaves = std::uint64_t{1} << 31;
  std::uint64_t end = 0;  // of the nodes so far
  for (const TreeNode& node : nodes) {
    if (node.level > 31 || (std::uint64_t{node.index} + 1) << node.level > kMaxLeaves) {
      return Error(StatusCode::kInvalidArgument, "tree node ({}, {}) ends above leaf {}",
                   node.level, node.index, kMaxLeaves);
    }
    if (node.begin() < end) {
      return Error(StatusCode::kInvalidArgument,
                   "tree node ({}, {}) starts at leaf {}, before the end of the one before it, {}",
                   node.level, node.index, node.begin(), end);
    }
    end = node.end();
  }
  return Status();
}

Status CheckGradients(const RowGradients& rows, std::size_t node_count,
                      std::span<const TableDefinition> tables) {
  DCN_RETURN_IF_ERROR(CheckTable(rows.table, tables));
  const TableDefinition& table = tables[rows.table];
  DCN_RETURN_IF_ERROR(CheckValueCount(table, rows.keys.size(), rows.values.size()));
  if (rows.nodes.size() != rows.keys.size()) {
    return Error(StatusCode::kInvalidArgument, "table '{}': {} tree nodes for {} keys", table.name,
                 rows.nodes.size(), rows.keys.size());
  }
  const auto highest = std::ranges::max_element(rows.nodes);
  if (highest != rows.nodes.end() && *highest >= node_count) {
    const auto position = static_cast<std::size_t>(highest - rows.nodes.begin());
    return Error(StatusCode::kInvalidArgument,
                 "table '{}', key {}: tree node number {} of a list of {}", table.name,
                 rows.keys[position], *highest, node_count);
  }
  const Status finite = CheckFinite(table, rows.keys, rows.values, "the gradient");
  if (finite.ok()) return finite;
  return Error(finite.code(), "{}: the training diverges; a smaller --learning-rate may help",
               finite.message());
}

Status CheckPushContent(const PushRequest& push, std::span<const TableDefinition> tables) {
  if (!std::isfinite(push.learning_rate) || std::signbit(push.learning_rate)) {
    return Error(StatusCode::kInvalidArgument, "the learning rate is {}, must be finite and >= 0",
                 push.learning_rate);
  }
  DCN_RETURN_IF_ERROR(CheckNodes(push.nodes));
  for (std::size_t i = 0; i < push.gradients.size(); ++i) {
    const RowGradients& rows = push.gradients[i];
    DCN_RETURN_IF_ERROR(CheckGradients(rows, push.nodes.size(), tables));
    for (const RowGradients& earlier : push.gradients.first(i)) {
      if (earlier.table != rows.table) continue;
      return Error(StatusCode::kInvalidArgument, "table '{}' stands twice in one push",
                   tables[rows.table].name);
    }
  }
  return Status();
}

}  // namespace

Status CheckPush(const PushRequest& push, std::span<const TableDefinition> tables) {
  const Status status = CheckPushContent(push, tables);
  if (status.ok()) return status;
  return Error(status.code(), "push of rank {}, step {}: {}", push.rank, push.step,
               status.message());
}

Status CheckPull(std::span<const RowsToPull> pull, std::span<const TableDefinition> tables) {
  for (const RowsToPull& rows : pull) {
    DCN_RETURN_IF_ERROR(CheckTable(rows.table, tables));
    DCN_RETURN_IF_ERROR(CheckValueCount(tables[rows.table], rows.keys.size(), rows.values.size()));
  }
  return Status();
}

Status CheckAssign(TableId table, std::span<const Key> keys, std::span<const float> values,
                   std::span<const TableDefinition> tables) {
  DCN_RETURN_IF_ERROR(CheckTable(table, tables));
  DCN_RETURN_IF_ERROR(CheckValueCount(tables[table], keys.size(), values.size()));
  return CheckFinite(tables[table], keys, values, "the value");
}

Status CheckStepSizes(Step step, std::span<const float> step_sizes,
                      std::span<const TableDefinition> tables) {
  const bool are_needed = std::ranges::any_of(tables, [](const TableDefinition& table) {
    return std::holds_alternative<AdamOptions>(table.optimizer);
  });
  if (step > kMaxStep) {
    return Error(StatusCode::kOutOfRange, "restoring step {}: above the limit of {}", step,
                 kMaxStep);
  }
  if (step_sizes.size() != step && (are_needed || !step_sizes.empty())) {
    return Error(StatusCode::kInvalidArgument, "restoring step {}: {} step sizes, must be {}", step,
                 step_sizes.size(), step);
  }
  if (AllFinite(step_sizes)) return Status();
  return Error(StatusCode::kInvalidArgument, "restoring step {}: a step size is not finite", step);
}

Status CheckRestore(const RowsToRestore& rows, Step step, std::span<const TableDefinition> tables) {
  DCN_RETURN_IF_ERROR(CheckTable(rows.table, tables));
  const TableDefinition& table = tables[rows.table];
  const std::size_t columns = 1 + StateCount(table.optimizer);
  DCN_RETURN_IF_ERROR(CheckValueCount(table, rows.keys.size() * columns, rows.records.size()));
  if (rows.last_steps.size() != rows.keys.size()) {
    return Error(StatusCode::kInvalidArgument, "table '{}': {} last steps for {} keys", table.name,
                 rows.last_steps.size(), rows.keys.size());
  }
  for (std::size_t i = 0; i < rows.keys.size(); ++i) {
    if (rows.last_steps[i] <= step) continue;
    return Error(StatusCode::kOutOfRange, "table '{}', key {}: stands at step {}, the job at {}",
                 table.name, rows.keys[i], rows.last_steps[i], step);
  }
  std::vector<Key> keys(rows.keys.begin(), rows.keys.end());
  std::sort(keys.begin(), keys.end());
  const auto twice = std::adjacent_find(keys.begin(), keys.end());
  if (twice == keys.end()) return Status();
  return Error(StatusCode::kInvalidArgument, "table '{}': row {} stands twice", table.name, *twice);
}

}  // namespace dcn::ps
