#include "ps/server/shard_thread.h"

#include <chrono>
#include <future>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace dcn::ps {
namespace {

constexpr std::chrono::seconds kDeadline{10};

void NoException(std::string_view what) { ADD_FAILURE() << what; }

TEST(ShardThreadTest, DoesWhatIsPostedInOrderBeforeItEnds) {
  std::vector<int> done;
  {
    ShardThread thread(0, NoException);
    for (int i = 0; i < 1000; ++i) {
      thread.Post([&done, i](ShardDesk& /*desk*/) { done.push_back(i); });
    }
  }
  ASSERT_EQ(done.size(), 1000U);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(done[static_cast<std::size_t>(i)], i);
}

TEST(ShardThreadTest, TakesWorkThatCanOnlyBeMoved) {
  std::promise<int> answer;
  std::future<int> future = answer.get_future();
  ShardThread thread(0, NoException);
  thread.Post([value = std::make_unique<int>(7), answer = std::move(answer)](
                  ShardDesk& /*desk*/) mutable { answer.set_value(*value); });
  ASSERT_EQ(future.wait_for(kDeadline), std::future_status::ready);
  EXPECT_EQ(future.get(), 7);
}

TEST(ShardThreadTest, AfterAnExceptionWorkIsDestroyedAndNotDone) {
  std::promise<std::string> reported;
  std::future<std::string> report = reported.get_future();
  ShardThread thread(0,
                     [&reported](std::string_view what) { reported.set_value(std::string(what)); });
  // Posted before the exception, after it, and much later: none is done, all are destroyed.
  auto token = std::make_shared<int>();
  const std::weak_ptr<int> alive = token;
  std::promise<void> go;
  thread.Post([go = go.get_future().share()](ShardDesk& /*desk*/) {
    go.wait();
    throw std::runtime_error("a bug");
  });
  thread.Post([token](ShardDesk& /*desk*/) { ADD_FAILURE() << "was done"; });
  go.set_value();
  ASSERT_EQ(report.wait_for(kDeadline), std::future_status::ready);
  EXPECT_EQ(report.get(), "a bug");
  thread.Post([token](ShardDesk& /*desk*/) { ADD_FAILURE() << "was done"; });
  token.reset();
  EXPECT_TRUE(alive.expired());
}

}  // namespace
}  // namespace dcn::ps
