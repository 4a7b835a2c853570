#include "ps/table/row_storage.h"

#include <algorithm>

#include "common/check.h"

namespace dcn::ps {
namespace {

// Small enough that a table of three rows costs little, big enough that chunks are few.
constexpr std::size_t kChunkBytes = 256 * 1024;
// A table takes its first chunks one by one, later ones by so many.
constexpr std::size_t kSingleChunks = 8;
constexpr std::size_t kChunksTogether = 64;

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
  if (size_ >> chunk_shift_ == chunks_.size()) AddChunks();
  return Record(static_cast<std::uint32_t>(size_++));
}

void RowStorage::AddChunks() {
  constexpr std::size_t kLineFloats = kCacheLineBytes / sizeof(float);
  const std::size_t count = chunks_.size() < kSingleChunks ? 1 : kChunksTogether;
  const std::size_t floats = chunk_bytes() / sizeof(float);
  const std::size_t stride = (floats + kLineFloats - 1) / kLineFloats * kLineFloats;
  const AlignedFloats& block = blocks_.emplace_back(count * stride);
  for (std::size_t i = 0; i < count; ++i) chunks_.push_back(block.get() + i * stride);
}

}  // namespace dcn::ps
