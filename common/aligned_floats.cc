#include "common/aligned_floats.h"

#include <sys/mman.h>

namespace dcn::internal {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

std::size_t AlignmentOf(std::size_t bytes) {
  return bytes < kHugePage ? kCacheLineBytes : kHugePage;
}

}  // namespace

void* AllocateBlock(std::size_t bytes) {
  const std::size_t alignment = AlignmentOf(bytes);
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* const memory = ::operator new (rounded, std::align_val_t{alignment});
  // Where it is refused, pages are small: nothing to tell.
  if (alignment == kHugePage) (void)::madvise(memory, rounded, MADV_HUGEPAGE);
  return memory;
}

void FreeBlock(void* memory, std::size_t bytes) {
  ::operator delete (memory, std::align_val_t{AlignmentOf(bytes)});
}

}  // namespace dcn::internal
