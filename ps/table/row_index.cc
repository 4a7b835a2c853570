#include "ps/table/row_index.h"

#include <memory>
#include <utility>

#include "common/check.h"

namespace dcn::ps {
namespace {

constexpr std::size_t kFirstCapacity = 16;

constexpr std::size_t RoomIn(std::size_t capacity) { return capacity / 4 * 3; }

}  // namespace

RowIndex::RowIndex() : entries_(MakeEntries(kFirstCapacity)), mask_(kFirstCapacity - 1) {}

AlignedBlock<RowIndex::Entry> RowIndex::MakeEntries(std::size_t count) {
  AlignedBlock<Entry> entries(count);
  std::uninitialized_fill_n(entries.get(), count, Entry{});
  return entries;
}

RowIndex::Entry& RowIndex::FreeEntry(Key key) {
  std::size_t i = MixKey(key) & mask_;
  while (entries_[i].slot != kNoSlot) i = (i + 1) & mask_;
  return entries_[i];
}

RowIndex::Entry& RowIndex::Insert(Key key, std::uint32_t last_step) {
  DCN_CHECK_LT(size_, std::size_t{kNoSlot});
  Reserve(size_ + 1);
  Entry& entry = FreeEntry(key);
  entry = {.key = key, .slot = static_cast<std::uint32_t>(size_), .last_step = last_step};
  ++size_;
  return entry;
}

void RowIndex::Reserve(std::size_t rows) {
  std::size_t grown = capacity();
  while (RoomIn(grown) < rows) grown *= 2;
  if (grown == capacity()) return;
  const AlignedBlock<Entry> old = std::exchange(entries_, MakeEntries(grown));
  const std::size_t old_capacity = capacity();
  mask_ = grown - 1;
  for (std::size_t i = 0; i < old_capacity; ++i) {
    if (old[i].slot != kNoSlot) FreeEntry(old[i].key) = old[i];
  }
}

}  // namespace dcn::ps
