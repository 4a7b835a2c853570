#include "common/net/run_loop.h"

#include <chrono>
#include <thread>

namespace dcn::net {
namespace {

using Clock = std::chrono::steady_clock;

// Of 10, 15, 20, 30, 50 and 200 us the one with the shortest rounds of a worker and a server over
// loopback (benchmarks/server_benchmark.cc).
constexpr std::chrono::microseconds kLinger{20};

}  // namespace

void RunLoop(boost::asio::io_context& io) {
  while (!io.stopped()) {
    Clock::time_point idle_since = Clock::now();
    while (Clock::now() - idle_since < kLinger) {
      if (io.poll() > 0) {
        idle_since = Clock::now();
      } else {
        std::this_thread::yield();
      }
    }
    io.run_one();
  }
}

}  // namespace dcn::net
