#include "ps/client/answer_box.h"

#include <chrono>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "common/named_thread.h"

namespace dcn::ps {
namespace {

using namespace std::chrono_literals;

AnswerBox::TimePoint In(std::chrono::milliseconds time) {
  return std::chrono::steady_clock::now() + time;
}

TEST(AnswerBoxTest, WaitsForAnotherThreadsAnswer) {
  AnswerBox box;
  std::vector<std::byte> taken;
  AnswerHandler handler = box.Expect([&taken](std::span<const std::byte> body) {
    taken.assign(body.begin(), body.end());
    return Status();
  });
  const NamedThread other(
      "other", [&handler] { handler(Status(), std::vector<std::byte>(3)); }, [](auto) {});
  EXPECT_TRUE(box.Wait(In(60s)).ok());
  EXPECT_EQ(taken.size(), 3U);
}

TEST(AnswerBoxTest, AnAnswerMayComeBeforeTheWait) {
  AnswerBox box;
  box.Expect({})(Status(StatusCode::kUnavailable, "gone"), {});
  EXPECT_EQ(box.Wait(In(60s)).message(), "gone");
}

TEST(AnswerBoxTest, AnAnswerThatMakesNoSenseIsAnError) {
  AnswerBox box;
  box.Expect([](auto) { return Status(StatusCode::kDataLoss, "nonsense"); })(Status(), {});
  EXPECT_EQ(box.Wait(In(60s)).code(), StatusCode::kDataLoss);
}

TEST(AnswerBoxTest, TakesNothingFromAnError) {
  AnswerBox box;
  bool is_taken = false;
  box.Expect([&is_taken](auto) {
    is_taken = true;
    return Status();
  })(Status(StatusCode::kUnavailable, "gone"), {});
  EXPECT_EQ(box.Wait(In(60s)).code(), StatusCode::kUnavailable);
  EXPECT_FALSE(is_taken);
}

TEST(AnswerBoxTest, WaitsNoLongerThanTheLimitAndDropsWhatComesThen) {
  AnswerBox box;
  bool is_taken = false;
  const AnswerHandler late = box.Expect([&is_taken](auto) {
    is_taken = true;
    return Status();
  });
  EXPECT_EQ(box.Wait(In(1ms)).code(), StatusCode::kInternal);
  late(Status(), {});
  EXPECT_FALSE(is_taken);

  // Nor is it taken for the answer to the next request.
  const AnswerHandler next = box.Expect({});
  late(Status(StatusCode::kUnavailable, "late"), {});
  next(Status(), {});
  EXPECT_TRUE(box.Wait(In(60s)).ok());
}

TEST(AnswerBoxTest, TakesNothingOnceItIsGone) {
  auto box = std::make_unique<AnswerBox>();
  bool is_taken = false;
  const AnswerHandler handler = box->Expect([&is_taken](auto) {
    is_taken = true;
    return Status();
  });
  box.reset();
  handler(Status(), {});
  EXPECT_FALSE(is_taken);
}

}  // namespace
}  // namespace dcn::ps
