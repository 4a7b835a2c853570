// Numbers the distinct ids of a file 0, 1, 2, … in the order in which they are first seen.
//
// An open-addressing table of (id, number) pairs: a lookup is one multiplication and, nearly
// always, one cache line; it runs twice for each rating.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "common/check.h"

namespace dcn::data {

/// Ids are 1 .. 2^32 - 1. Thread safety: none.
class IdIndex {
 public:
  static constexpr std::uint32_t kAbsent = std::numeric_limits<std::uint32_t>::max();

  IdIndex() : slots_(kFirstSlots) {}

  /// The number of `id`, or kAbsent. REQUIRES: id != 0.
  [[nodiscard]] std::uint32_t Find(std::uint32_t id) const {
    const Slot& slot = slots_[Place(id)];
    return slot.id == id ? slot.number : kAbsent;
  }

  /// The number of `id`, given now where it is new. REQUIRES: id != 0.
  std::uint32_t FindOrAdd(std::uint32_t id) {
    const std::size_t place = Place(id);
    if (slots_[place].id == id) [[likely]]
      return slots_[place].number;
    return Add(id, place);
  }

  /// The ids by number.
  [[nodiscard]] const std::vector<std::uint32_t>& ids() const { return ids_; }

 private:
  struct Slot {
    std::uint32_t id = 0;  // 0: free
    std::uint32_t number = 0;
  };
  static constexpr std::size_t kFirstSlots = 1024;

  // Where `id` is, or the free slot where it belongs. At most half of the slots are taken.
  [[nodiscard]] std::size_t Place(std::uint32_t id) const {
    DCN_CHECK_NE(id, 0U);
    const std::size_t mask = slots_.size() - 1;
    const int shift = 64 - std::countr_zero(slots_.size());
    // Fibonacci hashing: the high bits of the product with 2^64 / golden ratio.
    std::size_t place = (id * std::uint64_t{0x9E3779B97F4A7C15}) >> shift;
    while (slots_[place].id != id && slots_[place].id != 0) place = (place + 1) & mask;
    return place;
  }

  std::uint32_t Add(std::uint32_t id, std::size_t place) {
    const auto number = static_cast<std::uint32_t>(ids_.size());
    slots_[place] = {.id = id, .number = number};
    ids_.push_back(id);
    if (2 * ids_.size() > slots_.size()) Grow();
    return number;
  }

  void Grow() {
    std::vector<Slot> small = std::move(slots_);
    slots_ = std::vector<Slot>(2 * small.size());
    for (const Slot& slot : small) {
      if (slot.id != 0) slots_[Place(slot.id)] = slot;
    }
  }

  std::vector<Slot> slots_;  // a power of two of them
  std::vector<std::uint32_t> ids_;
};

}  // namespace dcn::data
