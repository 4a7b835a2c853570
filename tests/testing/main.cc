// The main() of every test program. A run without a single test is a failure; a run in which every
// test was skipped returns 77, which ctest shows as skipped.

#include <cstdio>

#include <gtest/gtest.h>

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  const int failed = RUN_ALL_TESTS();
  const ::testing::UnitTest& unit = *::testing::UnitTest::GetInstance();
  if (failed != 0) return 1;
  if (unit.test_to_run_count() == 0) {
    std::fprintf(stderr, "error: this test program found no test to run\n");
    return 1;
  }
  if (unit.skipped_test_count() == unit.test_to_run_count()) {
    std::fprintf(stderr, "SKIPPED: every test of this program was skipped (reasons above)\n");
    return 77;
  }
  return 0;
}
