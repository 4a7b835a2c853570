// Finds a row by its key: an open-addressing hash index with linear probing.
//
// An entry is 16 bytes, four to a cache line: the key, where the row is stored (slot), and the last
// step that the row has gone through, which almost every look-up wants next. Entries move when the
// index grows; rows do not (row_storage.h). At most three quarters of the entries are in use.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/aligned_floats.h"
#include "ps/partition.h"
#include "ps/protocol.h"

namespace dcn::ps {

/// Thread safety: none.
class RowIndex {
 public:
  static constexpr std::uint32_t kNoSlot = 0xffffffffU;

  struct Entry {
    Key key = 0;
    std::uint32_t slot = kNoSlot;  // kNoSlot: not in use
    std::uint32_t last_step = 0;
  };

  RowIndex();

  /// Rows in the index; their slots are 0 .. size() - 1, in the order of their creation.
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t memory_bytes() const { return capacity() * sizeof(Entry); }
  /// Places of entries, in use or not; it changes when the index grows.
  [[nodiscard]] std::size_t capacity() const { return mask_ + 1; }
  /// The entry at a place below capacity(), or null where none is in use.
  [[nodiscard]] const Entry* At(std::size_t place) const {
    return entries_[place].slot == kNoSlot ? nullptr : &entries_[place];
  }

  /// Asks the processor for the cache line where the search for `key` will start.
  void Prefetch(Key key) const { __builtin_prefetch(&entries_[MixKey(key) & mask_], 1); }

  /// The row's entry, or null. Valid until the index grows, at an Insert or a Reserve.
  [[nodiscard]] Entry* Find(Key key) {
    for (std::size_t i = MixKey(key) & mask_;; i = (i + 1) & mask_) {
      Entry& entry = entries_[i];
      if (entry.slot == kNoSlot) return nullptr;
      if (entry.key == key) return &entry;
    }
  }
  [[nodiscard]] const Entry* Find(Key key) const { return const_cast<RowIndex*>(this)->Find(key); }

  /// Enters a row that is not there yet; its slot is the size() before.
  Entry& Insert(Key key, std::uint32_t last_step);

  /// Makes room for `rows` rows in all, so that inserting up to there moves no entry.
  void Reserve(std::size_t rows);

  /// Calls visit(entry) for every row, in no particular order.
  template <typename Visit>
  void ForEach(Visit&& visit) const {
    for (std::size_t i = 0; i <= mask_; ++i) {
      if (entries_[i].slot != kNoSlot) visit(entries_[i]);
    }
  }

 private:
  // The first free entry for a key that is not there.
  [[nodiscard]] Entry& FreeEntry(Key key);

  // So many entries, none in use.
  static AlignedBlock<Entry> MakeEntries(std::size_t count);

  AlignedBlock<Entry> entries_;  // capacity() of them, a power of two
  std::size_t mask_ = 0;         // capacity() - 1
  std::size_t size_ = 0;
};

}  // namespace dcn::ps
