// Memory for the rows of one table, in chunks of fixed size: a row never moves.
//
// A row's record is contiguous: its weights, then each optimizer state, `width` floats in all.
// Chunks start at a cache line; records follow one another without a gap. A big table takes many
// chunks at once, in huge pages; the system gives memory to those in use only.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/aligned_floats.h"

namespace dcn::ps {

/// Thread safety: none.
class RowStorage {
 public:
  /// width: floats a record, >= 1.
  explicit RowStorage(std::size_t width);

  /// The record of a slot below size().
  [[nodiscard]] float* Record(std::uint32_t slot) {
    return chunks_[slot >> chunk_shift_] + (slot & chunk_mask_) * width_;
  }
  [[nodiscard]] const float* Record(std::uint32_t slot) const {
    return const_cast<RowStorage*>(this)->Record(slot);
  }

  /// Appends a record, its floats unset, as slot size().
  float* Append();

  [[nodiscard]] std::size_t size() const { return size_; }
  /// Of the chunks in use.
  [[nodiscard]] std::size_t memory_bytes() const {
    return used_chunks() * chunk_bytes() + chunks_.capacity() * sizeof(float*);
  }

 private:
  void AddChunks();
  [[nodiscard]] std::size_t used_chunks() const { return (size_ + chunk_mask_) >> chunk_shift_; }
  [[nodiscard]] std::size_t chunk_bytes() const {
    return (std::size_t{chunk_mask_} + 1) * width_ * sizeof(float);
  }

  std::size_t width_;
  std::uint32_t chunk_shift_;  // log2 of the records in a chunk
  std::uint32_t chunk_mask_;   // records in a chunk - 1
  std::size_t size_ = 0;
  std::vector<AlignedFloats> blocks_;  // of one or more chunks
  std::vector<float*> chunks_;         // within them
};

}  // namespace dcn::ps
