// Counts every allocation of a test program: link dcn_test_allocations, whose operator new and
// delete replace the standard ones.
#pragma once

#include <cstddef>

#include <gtest/gtest.h>

namespace dcn::testing {

/// Since the program's start. For programs with one thread.
struct AllocationCount {
  std::size_t allocations = 0;
  std::size_t releases = 0;
  std::size_t bytes = 0;  // of all allocations
};

/// All zero where IsCounting() is false.
[[nodiscard]] const AllocationCount& CountAllocations();

/// False under a sanitizer, which brings operators of its own.
[[nodiscard]] bool IsCounting();

}  // namespace dcn::testing

/// Skips a test that lives on the count.
#define DCN_SKIP_WITHOUT_ALLOCATION_COUNT()                                               \
  if (!::dcn::testing::IsCounting()) {                                                    \
    GTEST_SKIP() << "allocations are a sanitizer's business here, and cannot be counted"; \
  }
