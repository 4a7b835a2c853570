#include "common/net/run_loop.h"

#include <chrono>
#include <ctime>
#include <future>
#include <stdexcept>
#include <string_view>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/named_thread.h"

namespace dcn::net {
namespace {

namespace asio = boost::asio;
using ::testing::ElementsAre;

using namespace std::chrono_literals;

void NoException(std::string_view what) { ADD_FAILURE() << what; }

std::chrono::nanoseconds ProcessorTimeOfThisThread() {
  timespec time = {};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

class RunLoopTest : public ::testing::Test {
 protected:
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(io_);
};

TEST_F(RunLoopTest, RunsWhatIsThereInOrderUntilStopped) {
  std::vector<int> order;
  asio::post(io_, [&] {
    order.push_back(1);
    asio::post(io_, [&] { order.push_back(3); });
    asio::post(io_, [&] { io_.stop(); });
    asio::post(io_, [&] { order.push_back(4); });  // behind the stop
  });
  asio::post(io_, [&] { order.push_back(2); });
  RunLoop(io_);
  EXPECT_THAT(order, ElementsAre(1, 2, 3));
  RunLoop(io_);  // is stopped: returns
  EXPECT_THAT(order, ElementsAre(1, 2, 3));
}

TEST_F(RunLoopTest, WakesForOtherThreadsAndTimersHoweverLongItWasIdle) {
  const NamedThread loop(
      "loop", [&] { RunLoop(io_); }, NoException);
  for (const auto pause : {0us, 5us, 20us, 100us, 20'000us}) {
    asio::steady_timer timer(io_);  // as a pause, too
    std::promise<void> expired;
    asio::post(io_, [&] {
      timer.expires_after(pause);
      timer.async_wait([&](const boost::system::error_code&) { expired.set_value(); });
    });
    EXPECT_EQ(expired.get_future().wait_for(30s), std::future_status::ready);
  }
  io_.stop();
}

TEST_F(RunLoopTest, LetsAnExceptionOutAndGoesOnAfterIt) {
  bool has_run = false;
  asio::post(io_, [] { throw std::runtime_error("a bug"); });
  asio::post(io_, [&] {
    has_run = true;
    io_.stop();
  });
  EXPECT_THROW(RunLoop(io_), std::runtime_error);
  EXPECT_FALSE(has_run);
  RunLoop(io_);
  EXPECT_TRUE(has_run);
}

TEST_F(RunLoopTest, SleepsWhereNothingComes) {
  constexpr auto kIdle = 300ms;
  asio::steady_timer timer(io_, kIdle);
  timer.async_wait([&](const boost::system::error_code&) { io_.stop(); });
  const auto before = ProcessorTimeOfThisThread();
  RunLoop(io_);
  EXPECT_LT(ProcessorTimeOfThisThread() - before, kIdle / 3);
}

}  // namespace
}  // namespace dcn::net
