// Counts every allocation of a test program by operator new, which is how this project's code takes
// all memory (common/aligned_floats.h, too): link dcn_test_allocations, whose operators replace the
// standard ones.
#pragma once

#include <cstddef>
#include <string_view>

#include <gtest/gtest.h>

namespace dcn::testing {

/// Since the program's start, by all threads.
struct AllocationCount {
  std::size_t allocations = 0;
  std::size_t releases = 0;
  std::size_t bytes = 0;       // of all allocations
  std::size_t by_library = 0;  // allocations by the library that was set apart: not in the others
};

/// All zero where IsCounting() is false.
[[nodiscard]] AllocationCount CountAllocations();

/// From now on what this shared library's own code allocates is counted apart. name: a part of its
/// file's name. False: no such library is loaded.
[[nodiscard]] bool SetLibraryApart(std::string_view name);

/// False under a sanitizer, which brings operators of its own.
[[nodiscard]] bool IsCounting();

}  // namespace dcn::testing

/// Skips a test that lives on the count.
#define DCN_SKIP_WITHOUT_ALLOCATION_COUNT()                                               \
  if (!::dcn::testing::IsCounting()) {                                                    \
    GTEST_SKIP() << "allocations are a sanitizer's business here, and cannot be counted"; \
  }
