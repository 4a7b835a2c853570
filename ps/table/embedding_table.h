// The rows of one embedding table, with their optimizer state: read, updated a step at a time.
//
// A row comes into being with its first gradient; until then reading it gives its first value and
// stores nothing. With dense-form Adam every row moves at every step, but a row's missed steps are
// only replayed when it is next read or updated; the result has the bits of a sweep over the whole
// table at each step (optimizer/adam.h). A row's state is the row, the step it stands at, and the
// table's history of rates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "ps/protocol.h"
#include "ps/table/initializer.h"
#include "ps/table/rate_history.h"
#include "ps/table/row_index.h"
#include "ps/table/row_storage.h"
#include "ps/table/table_snapshot.h"

namespace dcn::ps {

/// A stored row as it is, its missed steps not replayed.
struct StoredRow {
  Key key = 0;
  Step last_step = 0;              // the step that weights and state stand at
  std::span<const float> weights;  // [dimension]
  std::span<const float> state;    // [states * dimension]: m then v, or the accumulator, or nothing
};

/// Thread safety: none; confined to its shard's thread, which has denormals flushed to zero.
class EmbeddingTable {
 public:
  /// REQUIRES: ValidateTable(definition) is ok.
  explicit EmbeddingTable(TableDefinition definition);

  [[nodiscard]] const TableDefinition& definition() const { return definition_; }
  /// The last applied step; 0 before the first.
  [[nodiscard]] Step step() const { return step_; }
  /// Rows that have come into being.
  [[nodiscard]] std::size_t row_count() const { return index_.size(); }
  /// What rows, index and rate history take.
  [[nodiscard]] std::size_t memory_bytes() const;

  /// Applies step step() + 1: `gradients` [keys.size(), dimension] hold each row's whole sum, once.
  /// keys: distinct; rows that do not exist are created. learning_rate: finite, >= 0.
  void ApplyStep(float learning_rate, std::span<const Key> keys, std::span<const float> gradients);

  /// Reads rows as of step() into `values` [keys.size(), dimension]; creates none.
  void Read(std::span<const Key> keys, std::span<float> values);

  /// Sets rows to `values` [keys.size(), dimension] as of step(), with a fresh optimizer state.
  void Assign(std::span<const Key> keys, std::span<const float> values);

  /// Begins to copy all rows as they stand now; one snapshot at a time. table: this one's number.
  void BeginSnapshot(TableId table);
  /// Null: none was begun. It is the caller's to empty (TakeCopies), and ends with EndSnapshot.
  [[nodiscard]] TableSnapshot* snapshot() { return snapshot_.get(); }
  /// Copies up to `rows` rows that the snapshot lacks. REQUIRES: snapshot() is not null.
  void CopyRows(std::size_t rows);
  void EndSnapshot() { snapshot_.reset(); }

  /// Floats of a row's record: its weights and its state.
  [[nodiscard]] std::size_t record_size() const { return (1 + states_) * dimension_; }

  /// Takes the table to step `step`, without rows. step_sizes: [step] where the optimizer replays
  /// missed steps, else unused. REQUIRES: no row exists.
  void RestoreStep(Step step, std::span<const float> step_sizes);
  /// Creates rows as a snapshot had them: keys distinct and new, last_steps [keys.size()] at most
  /// step(), records [keys.size(), record_size()].
  void RestoreRows(std::span<const Key> keys, std::span<const std::uint32_t> last_steps,
                   std::span<const float> records);

  /// The row as it is stored, or nothing. Valid until the next call that is not const.
  [[nodiscard]] std::optional<StoredRow> Find(Key key) const;

  /// Calls visit(StoredRow) for every row, in no particular order.
  template <typename Visit>
  void ForEachRow(Visit&& visit) const {
    index_.ForEach([&](const RowIndex::Entry& entry) { visit(View(entry)); });
  }

 private:
  // Rows are processed in blocks of this many, in three stages, so that memory accesses overlap
  // with one another and with the work: while one block is worked on, the records of the next are
  // on their way to the cache, and the index entries of the one after that. (Blocks of 8, 24
  // and 32 were slower.)
  static constexpr std::size_t kLookupBlock = 16;

  [[nodiscard]] StoredRow View(const RowIndex::Entry& entry) const;

  // The block of keys from `first` on, which may lie behind the last.
  static std::span<const Key> BlockOf(std::span<const Key> keys, std::size_t first);

  // The first stage: asks for the index entries of the block from `first` on. (The loops over
  // blocks stand in the functions that need them: as one function that is given what to do with a
  // block, a round was a sixth slower.)
  void PrefetchIndex(std::span<const Key> keys, std::size_t first) const;
  // The second: entries[i] = the entry of keys[i], or null; the rows' records are on their way to
  // the cache.
  void Locate(std::span<const Key> keys, std::span<RowIndex::Entry*> entries);
  // The same, creating what is missing with its first value, standing at the current step. True:
  // the index has grown, and entries that were located before are elsewhere now.
  bool LocateOrCreate(std::span<const Key> keys, std::span<RowIndex::Entry*> entries);
  void ResetState(float* record) const;
  // Before a stored row changes: a snapshot that is being taken gets it as it is.
  void Preserve(const RowIndex::Entry& entry) {
    if (snapshot_ != nullptr && snapshot_->Lacks(entry.slot)) {
      snapshot_->Copy(entry, storage_.Record(entry.slot));
    }
  }
  // Brings a stored row to step `to` if the optimizer moves untouched rows.
  void Replay(RowIndex::Entry& entry, Step to);
  template <typename Options>
  void ApplyRows(const Options& options, float rate, std::span<const Key> keys,
                 std::span<const float> gradients);

  TableDefinition definition_;
  std::size_t dimension_;
  std::size_t states_;  // floats of state per weight
  RowInitializer initializer_;
  Step step_ = 0;
  std::optional<RateHistory> history_;  // of dense-form Adam only
  RowIndex index_;
  RowStorage storage_;
  std::unique_ptr<TableSnapshot> snapshot_;  // null: none is being taken
};

}  // namespace dcn::ps
