#include "tests/testing/allocation_count.h"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace dcn::testing {
namespace {
AllocationCount count;
}  // namespace

const AllocationCount& CountAllocations() { return count; }

#ifdef DCN_SANITIZED
bool IsCounting() { return false; }
#else
bool IsCounting() { return true; }

namespace {

void* Counted(void* memory, std::size_t size) {
  if (memory == nullptr) throw std::bad_alloc();
  ++count.allocations;
  count.bytes += size;
  return memory;
}

void Release(void* memory) {
  if (memory != nullptr) ++count.releases;
  std::free(memory);
}

}  // namespace
#endif

}  // namespace dcn::testing

#ifndef DCN_SANITIZED
// Not inlined: a compiler that sees malloc and free may leave the pair out.
[[gnu::noinline]] void* operator new(std::size_t size) {
  return dcn::testing::Counted(std::malloc(std::max<std::size_t>(size, 1)), size);
}
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto align = static_cast<std::size_t>(alignment);
  return dcn::testing::Counted(std::aligned_alloc(align, (size + align - 1) / align * align), size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { dcn::testing::Release(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  dcn::testing::Release(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept {
  dcn::testing::Release(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  dcn::testing::Release(memory);
}
#endif
