#include "common/net/task_scope.h"

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dcn::net {
namespace {

namespace asio = boost::asio;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;
using Clock = std::chrono::steady_clock;

class TaskScopeTest : public ::testing::Test {
 protected:
  asio::awaitable<void> AsyncNote(std::string text) {
    notes_.push_back(std::move(text));
    co_return;
  }
  static asio::awaitable<void> AsyncThrow() {
    throw std::runtime_error("a bug");
    co_return;
  }
  // Waits until the timer is cancelled.
  static asio::awaitable<void> AsyncWait(asio::steady_timer& timer, std::shared_ptr<int> token) {
    boost::system::error_code cancelled;
    timer.expires_at(asio::steady_timer::time_point::max());
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
    token.reset();
  }
  static asio::awaitable<void> AsyncClose(TaskScope& scope, Clock::time_point deadline,
                                          std::optional<Status>& status) {
    status = co_await scope.AsyncClose(deadline);
  }
  asio::awaitable<void> AsyncRestart(std::string text) {
    co_await AsyncNote(text);
    scope_->Start("second", AsyncNote(text + " again"));
  }

  void TearDown() override {
    scope_.reset();
    closer_.reset();
  }

  TaskScope::ExceptionHandler NoteExceptions() {
    return [this](std::string_view task, std::string_view what) {
      notes_.push_back(fmt::format("{}: {}", task, what));
    };
  }

  std::vector<std::string> notes_;
  asio::io_context context_;
  asio::steady_timer timer_{context_};
  std::unique_ptr<TaskScope> scope_ =
      std::make_unique<TaskScope>(context_.get_executor(), NoteExceptions());
  // Runs the Close of the other one.
  std::unique_ptr<TaskScope> closer_ =
      std::make_unique<TaskScope>(context_.get_executor(), NoteExceptions());
};

TEST_F(TaskScopeTest, RunsTasksOnceTheLoopRuns) {
  scope_->Start("first", AsyncNote("one"));
  scope_->Start("second", AsyncNote("two"));
  EXPECT_EQ(scope_->size(), 2U);
  EXPECT_TRUE(notes_.empty());
  context_.run();
  EXPECT_THAT(notes_, ElementsAre("one", "two"));
  EXPECT_EQ(scope_->size(), 0U);
}

TEST_F(TaskScopeTest, ATaskMayStartAnother) {
  scope_->Start("first", AsyncRestart("one"));
  context_.run();
  EXPECT_THAT(notes_, ElementsAre("one", "one again"));
}

TEST_F(TaskScopeTest, ReportsAnExceptionWithTheTasksName) {
  scope_->Start("a task", AsyncThrow());
  scope_->Start("another", AsyncNote("fine"));
  context_.run();
  EXPECT_THAT(notes_, UnorderedElementsAre("a task: a bug", "fine"));
  EXPECT_EQ(scope_->size(), 0U);
}

TEST_F(TaskScopeTest, CloseWaitsForAll) {
  std::optional<Status> closed;
  scope_->Start("waiting", AsyncWait(timer_, nullptr));
  closer_->Start("close", AsyncClose(*scope_, Clock::now() + std::chrono::seconds(60), closed));
  context_.poll();
  EXPECT_FALSE(closed.has_value());
  timer_.cancel();
  context_.run();
  ASSERT_TRUE(closed.has_value());
  EXPECT_TRUE(closed->ok()) << closed->ToString();
}

TEST_F(TaskScopeTest, CloseOfNothingReturnsAtOnce) {
  std::optional<Status> closed;
  closer_->Start("close", AsyncClose(*scope_, Clock::now(), closed));
  context_.run();
  EXPECT_TRUE(closed->ok());
}

TEST_F(TaskScopeTest, CloseNamesWhatStillRunsAtTheDeadline) {
  std::optional<Status> closed;
  scope_->Start("read from a", AsyncWait(timer_, nullptr));
  closer_->Start("close", AsyncClose(*scope_, Clock::now() + std::chrono::milliseconds(5), closed));
  while (!closed && context_.run_one_for(std::chrono::seconds(10)) > 0) {
  }
  ASSERT_TRUE(closed.has_value());
  EXPECT_EQ(closed->code(), StatusCode::kDeadlineExceeded);
  EXPECT_THAT(closed->message(), AllOf(HasSubstr("1 task"), HasSubstr("read from a")));
  EXPECT_EQ(scope_->size(), 1U);
  timer_.cancel();
  closed.reset();
  closer_->Start("close", AsyncClose(*scope_, Clock::now() + std::chrono::seconds(60), closed));
  context_.run();
  EXPECT_TRUE(closed->ok());
}

TEST_F(TaskScopeTest, AScopeThatIsGoneIsNotTouchedByItsTasks) {
  auto token = std::make_shared<int>();
  const std::weak_ptr<int> alive = token;
  scope_->Start("waiting", AsyncWait(timer_, std::move(token)));
  context_.poll();
  scope_.reset();
  EXPECT_FALSE(alive.expired());
  timer_.cancel();
  context_.run();
  EXPECT_TRUE(alive.expired());
}

}  // namespace
}  // namespace dcn::net
