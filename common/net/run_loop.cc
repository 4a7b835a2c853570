#include "common/net/run_loop.h"

#include <chrono>
#include <exception>
#include <thread>

namespace dcn::net {
namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;

// What benchmarks/server_benchmark.cc liked best of 10 to 200 us.
constexpr std::chrono::microseconds kAwakeFor{20};

// Returns when `io` is stopped, or has nothing left to wait for.
void Run(asio::io_context& io) {
  while (!io.stopped()) {
    Clock::time_point idle_since = Clock::now();
    while (Clock::now() - idle_since < kAwakeFor) {
      if (io.poll() > 0) {
        idle_since = Clock::now();
      } else {
        std::this_thread::yield();
      }
    }
    io.run_one();
  }
}

}  // namespace

void RunLoop(asio::io_context& io, const std::function<void(std::string_view what)>& on_exception) {
  while (!io.stopped()) {
    try {
      Run(io);
    } catch (const std::exception& error) {
      on_exception(error.what());
    } catch (...) {
      on_exception("an exception of an unknown kind");
    }
  }
}

}  // namespace dcn::net
