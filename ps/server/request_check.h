// Whether a request makes sense to a shard, told before anything changes.
//
// Pure functions. Requests come from other processes too, so nothing about them is taken for
// granted; what depends on other ranks or on the step is the step barrier's part (step_barrier.h).
#pragma once

#include <span>

#include "common/status.h"
#include "ps/protocol.h"

namespace dcn::ps {

/// A push: nodes disjoint and in leaf order, the learning rate finite and >= 0, tables known and
/// each named once, sizes that fit one another, node numbers within the list, gradients finite.
/// kOutOfRange: a table that does not exist. kInvalidArgument: everything else; names rank, step,
/// table and key.
[[nodiscard]] Status CheckPush(const PushRequest& push, std::span<const TableDefinition> tables);

/// A pull: tables known, sizes that fit. Errors as above.
[[nodiscard]] Status CheckPull(std::span<const RowsToPull> pull,
                               std::span<const TableDefinition> tables);

/// An assignment: table known, sizes that fit, values finite. Errors as above.
[[nodiscard]] Status CheckAssign(TableId table, std::span<const Key> keys,
                                 std::span<const float> values,
                                 std::span<const TableDefinition> tables);

/// Tables keep a row's last step in 32 bits.
inline constexpr Step kMaxStep = 0xffffffffU;

/// The rates of a job that is restored at `step`: finite, one a step where some table replays
/// missed steps. Errors as above.
[[nodiscard]] Status CheckStepSizes(Step step, std::span<const float> step_sizes,
                                    std::span<const TableDefinition> tables);

/// Rows to restore in a shard at `step`: table known, sizes that fit, keys distinct, last steps at
/// most `step`. Errors as above.
[[nodiscard]] Status CheckRestore(const RowsToRestore& rows, Step step,
                                  std::span<const TableDefinition> tables);

}  // namespace dcn::ps
