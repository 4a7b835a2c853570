// The rows of a table as they were at one moment, taken while the table goes on.
//
// A row is copied once: when the table is about to change it (copy on write), or when the sweep
// over the table reaches it, whichever is first. Copies are handed out in blocks of bounded size,
// in no particular order, to be written and forgotten. Only rows that change faster than they can
// be written pile up, to a second table at the very most.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "ps/protocol.h"
#include "ps/table/row_index.h"

namespace dcn::ps {

/// Copies of rows, unreplayed: entry i is row keys[i] as it stood at step last_steps[i].
struct RowCopies {
  TableId table = 0;
  std::vector<Key> keys;
  std::vector<std::uint32_t> last_steps;
  std::vector<float> records;  // [keys.size(), record_size]: weights, then each state
};

/// Which rows of a table are copied, and the copies that nobody has taken yet.
/// Thread safety: none; confined to the table's thread.
class TableSnapshot {
 public:
  /// rows: of the table now; their slots are 0 .. rows - 1. record_size: floats of weights and
  /// state.
  TableSnapshot(TableId table, std::size_t rows, std::size_t record_size)
      : table_(table), record_size_(record_size), is_copied_(rows), missing_(rows) {}

  /// Rows that the snapshot has, copied or not.
  [[nodiscard]] std::size_t rows() const { return is_copied_.size(); }
  /// Rows that are not copied yet.
  [[nodiscard]] std::size_t missing() const { return missing_; }
  /// Whether every row is copied.
  [[nodiscard]] bool is_complete() const { return missing_ == 0; }
  /// Whether the row in this slot is still to be copied.
  [[nodiscard]] bool Lacks(std::uint32_t slot) const {
    return slot < is_copied_.size() && !is_copied_[slot];
  }
  /// Copies a row. REQUIRES: Lacks(entry.slot).
  void Copy(const RowIndex::Entry& entry, const float* record);

  /// Takes the copies that are there: full blocks, and once all is copied the rest.
  [[nodiscard]] std::vector<RowCopies> TakeCopies();

  /// Where the sweep over the index stands; the index starts anew once it has grown.
  struct Sweep {
    std::size_t capacity = 0;  // of the index
    std::size_t place = 0;
  };
  [[nodiscard]] Sweep& sweep() { return sweep_; }

 private:
  const TableId table_;
  const std::size_t record_size_;
  std::vector<bool> is_copied_;  // by slot
  std::size_t missing_;
  Sweep sweep_;
  RowCopies open_;  // not full yet
  std::vector<RowCopies> full_;
};

}  // namespace dcn::ps
