#include "common/file/disk_thread.h"

#include <chrono>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dcn {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using ::testing::MatchesRegex;

void NoException(std::string_view what) { ADD_FAILURE() << what; }

TEST(DiskThreadTest, WhatItsBodyOwnedIsGoneWhenItHasEnded) {
  auto owned = std::make_shared<int>(7);
  const std::weak_ptr<int> seen = owned;
  const DiskThread thread(
      "a", [owned](DiskWait&) {}, NoException);
  owned.reset();
  EXPECT_TRUE(thread.AwaitEnd(Clock::now() + 60s));
  EXPECT_TRUE(thread.has_ended());
  EXPECT_TRUE(seen.expired());
}

TEST(DiskThreadTest, OneThatHangsIsNotWaitedForAndKeepsWhatItNeeds) {
  std::promise<void> begun;
  std::promise<void> answer;
  auto shared = std::make_shared<int>(7);
  const std::weak_ptr<int> seen = shared;
  {
    const DiskThread thread(
        "a",
        [shared, &begun, answered = answer.get_future().share()](DiskWait& wait) {
          wait.Begin("/a/b");
          begun.set_value();
          answered.wait();
          wait.End();
          EXPECT_EQ(*shared, 7);
        },
        NoException);
    shared.reset();
    begun.get_future().wait();
    EXPECT_FALSE(thread.has_ended());
    EXPECT_FALSE(thread.AwaitEnd(Clock::now() + 1ms));
    EXPECT_THAT(thread.wait_text(),
                MatchesRegex("/a/b: the disk has not answered for [0-9]+\\.[0-9] s"));
  }
  EXPECT_FALSE(seen.expired());
  answer.set_value();
  const auto deadline = Clock::now() + 60s;
  while (!seen.expired() && Clock::now() < deadline) std::this_thread::yield();
  EXPECT_TRUE(seen.expired());
}

TEST(DiskThreadTest, ReportsAnExceptionBeforeItsEnd) {
  const auto report = std::make_shared<std::string>();
  const DiskThread thread(
      "a",
      [](DiskWait& wait) {
        wait.Begin("/a");
        throw std::runtime_error("a bug");
      },
      [report](std::string_view what) { *report = what; });
  ASSERT_TRUE(thread.AwaitEnd(Clock::now() + 60s));
  EXPECT_EQ(*report, "a bug");
  EXPECT_EQ(thread.wait_text(), "");
}

TEST(DiskWaitTest, NamesTheLastPathUntilItIsAnswered) {
  DiskWait wait;
  EXPECT_EQ(wait.text(), "");
  wait.Begin("/a");
  wait.Begin("/b");
  EXPECT_EQ(wait.text().substr(0, 4), "/b: ");
  wait.End();
  EXPECT_EQ(wait.text(), "");
}

}  // namespace
}  // namespace dcn
