#include "benchmarks/side_by_side.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <latch>
#include <vector>

#include "common/floating_point.h"
#include "tests/testing/rank_threads.h"

namespace dcn::benchmarks {

double RunSideBySide(int ranks, const std::function<void(int rank)>& body) {
  using Clock = std::chrono::steady_clock;
  std::vector<Clock::time_point> begins(static_cast<std::size_t>(ranks));
  std::vector<Clock::time_point> ends(static_cast<std::size_t>(ranks));
  std::latch all_there(ranks);
  testing::RunRanks(ranks, [&](int rank) {
    FlushDenormalsToZero();
    all_there.arrive_and_wait();
    begins[static_cast<std::size_t>(rank)] = Clock::now();
    body(rank);
    ends[static_cast<std::size_t>(rank)] = Clock::now();
  });
  return std::chrono::duration<double>(*std::ranges::max_element(ends) -
                                       *std::ranges::min_element(begins))
      .count();
}

}  // namespace dcn::benchmarks
