#include "ps/table/row_storage.h"

#include <algorithm>

#include "common/check.h"

namespace dcn::ps {
namespace {

// Small enough that a table of three rows costs little, big enough that chunks are few.
constexpr std::size_t kChunkBytes = 256 * 1024;

std::uint32_t ChunkShift(std::size_t width) {
  const std::size_t records = std::max<std::size_t>(1, kChunkBytes / (width * sizeof(float)));
  return static_cast<std::uint32_t>(std::bit_width(records) - 1);
}

}  // namespace

RowStorage::RowStorage(std::size_t width)
    : width_(width), chunk_shift_(ChunkShift(width)), chunk_mask_((1U << chunk_shift_) - 1) {
  DCN_CHECK_GE(width, std::size_t{1});
}

float* RowStorage::Append() {
  if (size_ >> chunk_shift_ == chunks_.size()) {
    chunks_.emplace_back(
        static_cast<float*>(::operator new[](chunk_bytes(), std::align_val_t{kChunkAlignment})));
  }
  return Record(static_cast<std::uint32_t>(size_++));
}

}  // namespace dcn::ps
