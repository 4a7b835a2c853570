#include "tests/testing/allocation_count.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <link.h>
#include <new>

namespace dcn::testing {
namespace {

std::atomic<std::size_t> allocations = 0;
std::atomic<std::size_t> releases = 0;
std::atomic<std::size_t> bytes = 0;
std::atomic<std::size_t> by_library = 0;

// Where the code of the library lies that is counted apart.
std::atomic<std::uintptr_t> library_begin = 0;
std::atomic<std::uintptr_t> library_end = 0;

struct Search {
  std::string_view name;
  bool is_found = false;
};

int Look(dl_phdr_info* library, std::size_t /*size*/, void* data) {
  auto& search = *static_cast<Search*>(data);
  if (std::string_view(library->dlpi_name).find(search.name) == std::string_view::npos) return 0;
  for (int i = 0; i < library->dlpi_phnum; ++i) {
    const auto& segment = library->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
    library_begin = library->dlpi_addr + segment.p_vaddr;
    library_end = library_begin + segment.p_memsz;
    search.is_found = true;
  }
  return 1;  // no further
}

}  // namespace

AllocationCount CountAllocations() {
  return {
      .allocations = allocations, .releases = releases, .bytes = bytes, .by_library = by_library};
}

bool SetLibraryApart(std::string_view name) {
  Search search{.name = name};
  dl_iterate_phdr(Look, &search);
  return search.is_found;
}

#ifdef DCN_SANITIZED
bool IsCounting() { return false; }
#else
bool IsCounting() { return true; }

namespace {

// caller: where operator new returns to.
void* Counted(void* memory, std::size_t size, const void* caller) {
  if (memory == nullptr) throw std::bad_alloc();
  const auto address = reinterpret_cast<std::uintptr_t>(caller);
  if (address >= library_begin && address < library_end) {
    ++by_library;
    return memory;
  }
  ++allocations;
  bytes += size;
  return memory;
}

void Release(void* memory) {
  if (memory != nullptr) ++releases;
  std::free(memory);
}

}  // namespace
#endif

}  // namespace dcn::testing

#ifndef DCN_SANITIZED
// Not inlined: a compiler that sees malloc and free may leave the pair out.
[[gnu::noinline]] void* operator new(std::size_t size) {
  return dcn::testing::Counted(std::malloc(std::max<std::size_t>(size, 1)), size,
                               __builtin_return_address(0));
}
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto align = static_cast<std::size_t>(alignment);
  return dcn::testing::Counted(std::aligned_alloc(align, (size + align - 1) / align * align), size,
                               __builtin_return_address(0));
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
