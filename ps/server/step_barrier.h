// Decides when a training step may be applied: once every rank has pushed its part; and sums the
// parts of each row.
//
// Pure bookkeeping, without sockets, clocks or threads. Arrival order never shows in the result: a
// row's partial sums are added in the order of the tree (common/reduction_tree.h). Buffers are kept
// from step to step, so that steps of a size seen before allocate nothing. With one rank that sends
// each row once, in increasing order of keys, nothing is copied or sorted either.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "common/reduction_tree.h"
#include "common/status.h"
#include "ps/protocol.h"
#include "ps/server/row_sum.h"

namespace dcn::ps {

/// One table's gradients of a step, each row once, summed over all ranks; keys in increasing order.
struct SummedGradients {
  TableId table = 0;
  std::span<const Key> keys;
  std::span<const float> values;  // [keys.size(), dimension]
};

/// Collects the pushes of one shard's current step.
/// Thread safety: none; confined to its shard's thread.
class StepBarrier {
 public:
  /// ranks: number of workers (>= 1). first_step: the step that the first push must carry.
  StepBarrier(std::uint32_t ranks, Step first_step);

  /// Takes one rank's part, which CheckPush has accepted for `tables`. The part is copied, except
  /// the one that completes the step: that one must live until Take()'s result is used.
  /// On an error nothing changes. kAlreadyExists: this rank has pushed this step.
  /// kOutOfRange: a step other than current_step(). kInvalidArgument: no such rank; a learning rate
  /// that differs from another rank's; tree nodes that overlap another rank's; a row that stands
  /// twice at one node.
  [[nodiscard]] Status Add(const PushRequest& push, std::span<const TableDefinition> tables);

  /// The step whose parts are being collected.
  [[nodiscard]] Step current_step() const { return current_step_; }
  [[nodiscard]] bool is_complete() const { return pushed_count_ == parts_.size(); }
  /// The ranks that current_step() waits for, in order.
  [[nodiscard]] std::vector<std::uint32_t> MissingRanks() const;
  /// Of the current step. REQUIRES: a part was added.
  [[nodiscard]] float learning_rate() const { return learning_rate_; }

  /// The sums of the completed step, one entry a table that has any; moves on to the next step.
  /// Valid until the next Add, and as long as the part that completed the step.
  /// REQUIRES: is_complete().
  std::span<const SummedGradients> Take();

 private:
  // One partial sum of a row.
  struct Partial {
    Key key = 0;
    TreeNode node;
    const float* values = nullptr;  // in Part::values, or in the request that completed the step
    friend bool operator<(const Partial& a, const Partial& b) {
      return a.key != b.key ? a.key < b.key : a.node.begin() < b.node.begin();
    }
  };
  // What one rank pushed into one table.
  struct TablePart {
    std::vector<Partial> partials;  // in increasing order
    std::vector<float> values;      // copies
  };
  // What one rank pushed. `tables` has an entry for every table and keeps its memory.
  struct Part {
    bool has_pushed = false;
    std::vector<TreeNode> nodes;
    std::vector<TablePart> tables;
  };
  // Sums of one table.
  struct Sums {
    explicit Sums(std::size_t dimension) : tree(dimension) {}
    std::optional<SummedGradients> borrowed;  // a single part that needs no summing
    std::vector<Partial> partials;            // of all ranks, in increasing order
    RowSum tree;
    std::vector<Key> keys;
    std::vector<float> values;
  };

  [[nodiscard]] Status CheckAgainstOthers(const PushRequest& push) const;
  void Prepare(Part& part, std::span<const TableDefinition> tables);
  const std::vector<Partial>& TakePart(const PushRequest& push, const RowGradients& rows,
                                       TablePart& table_part);
  void MergeParts(Sums& sums, TableId table);
  void SumRows(Sums& sums);

  Step current_step_;
  float learning_rate_ = 0;
  std::vector<Part> parts_;  // by rank, for current_step_
  std::size_t pushed_count_ = 0;
  std::vector<Sums> sums_;  // by table
  std::vector<SummedGradients> result_;
  std::vector<Partial> merge_buffer_;
  std::vector<std::size_t> run_ends_;
};

}  // namespace dcn::ps
