#include "common/net/run_loop.h"

#include <chrono>
#include <ctime>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
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

struct Stop {
  asio::io_context& io;
  ~Stop() { io.stop(); }
};

class RunLoopTest : public ::testing::Test {
 protected:
  void Run() { RunLoop(io_, NoException); }

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
  Run();
  EXPECT_THAT(order, ElementsAre(1, 2, 3));
  Run();  // is stopped: returns
  EXPECT_THAT(order, ElementsAre(1, 2, 3));
}

TEST_F(RunLoopTest, EndsWhereNothingIsLeftToWaitFor) {
  bool has_run = false;
  asio::steady_timer timer(io_, 50ms);
  timer.async_wait([&](const boost::system::error_code&) { has_run = true; });
  work_.reset();
  Run();
  EXPECT_TRUE(has_run);
}

TEST_F(RunLoopTest, TakesWhatOtherThreadsPostHoweverLongItWasIdle) {
  std::promise<void> never;
  const std::future<void> no_end = never.get_future();
  {
    const NamedThread loop(
        "loop", [&] { Run(); }, NoException);
    const Stop stop{io_};  // before the thread is waited for
    for (const auto pause : {0us, 5us, 20us, 100us, 20'000us}) {
      no_end.wait_for(pause);
      const auto has_run = std::make_shared<std::promise<void>>();
      std::future<void> ran = has_run->get_future();
      asio::post(io_, [has_run] { has_run->set_value(); });
      ASSERT_EQ(ran.wait_for(10s), std::future_status::ready);
    }
  }
}

TEST_F(RunLoopTest, TellsOfExceptionsAndGoesOn) {
  std::vector<std::string> told;
  bool has_run = false;
  asio::post(io_, [] { throw std::runtime_error("a bug"); });
  asio::post(io_, [] { throw 7; });
  asio::post(io_, [&] {
    has_run = true;
    io_.stop();
  });
  RunLoop(io_, [&](std::string_view what) { told.emplace_back(what); });
  EXPECT_TRUE(has_run);
  EXPECT_THAT(told, ElementsAre("a bug", "an exception of an unknown kind"));
}

TEST_F(RunLoopTest, TellsOfAnExceptionThatEndsItsSleep) {
  std::vector<std::string> told;
  asio::steady_timer bug(io_, 50ms);
  bug.async_wait([](const boost::system::error_code&) { throw std::runtime_error("a bug"); });
  asio::steady_timer end(io_, 100ms);
  end.async_wait([&](const boost::system::error_code&) { io_.stop(); });
  RunLoop(io_, [&](std::string_view what) { told.emplace_back(what); });
  EXPECT_THAT(told, ElementsAre("a bug"));
}

TEST_F(RunLoopTest, SleepsWhereNothingComes) {
  constexpr auto kIdle = 300ms;
  asio::steady_timer timer(io_, kIdle);
  timer.async_wait([&](const boost::system::error_code&) { io_.stop(); });
  const auto before = ProcessorTimeOfThisThread();
  Run();
  EXPECT_LT(ProcessorTimeOfThisThread() - before, kIdle / 3);
}

}  // namespace
}  // namespace dcn::net
