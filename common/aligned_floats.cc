#include "common/aligned_floats.h"

#include <cstdlib>
#include <sys/mman.h>

namespace dcn::internal {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

}  // namespace

void* AllocateBlock(std::size_t bytes) {
  const std::size_t alignment = bytes < kHugePage ? kCacheLineBytes : kHugePage;
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* const memory = std::aligned_alloc(alignment, rounded);
  if (memory == nullptr) throw std::bad_alloc();
  // Where it is refused, pages are small: nothing to tell.
  if (alignment == kHugePage) (void)::madvise(memory, rounded, MADV_HUGEPAGE);
  return memory;
}

void FreeBlock(void* memory) { std::free(memory); }

}  // namespace dcn::internal
