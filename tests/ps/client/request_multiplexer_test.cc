#include "ps/client/request_multiplexer.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/check.h"

namespace dcn::ps {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr RequestMultiplexer::TimePoint kStart{};

// How one request ended.
struct Ending {
  std::string request;
  Status status;
  Body body;
};

class RequestMultiplexerTest : public ::testing::Test {
 protected:
  RequestMultiplexer::Request Request(std::string name, seconds deadline = seconds(10)) {
    return {.type = MessageType::kPushPull,
            .answer = MessageType::kRows,
            .description = name,
            .body = std::make_shared<const Body>(Body(3, std::byte{0})),
            .deadline = kStart + deadline,
            .on_answer = [this, name](const Status& status, std::span<const std::byte> body) {
              endings_.push_back({name, status, {body.begin(), body.end()}});
            }};
  }
  std::uint64_t Add(const std::string& name, seconds deadline = seconds(10)) {
    return multiplexer_.Add(Request(name, deadline));
  }

  std::vector<std::uint64_t> SendAll() {
    std::vector<std::uint64_t> ids;
    while (const auto outgoing = multiplexer_.TakeNextToSend()) ids.push_back(outgoing->id);
    return ids;
  }

  Status Answer(std::uint64_t id, const Body& body = {}, MessageType type = MessageType::kRows,
                std::uint32_t flags = 0) {
    net::FrameHeader header;
    header.type = static_cast<std::uint16_t>(type);
    header.flags = flags;
    header.request_id = id;
    return multiplexer_.OnFrame(header, body);
  }
  Status Fail(std::uint64_t id, StatusCode code, std::string text) {
    Body body;
    Encode(Failure{code, std::move(text)}, body);
    return Answer(id, body, MessageType::kFailure);
  }

  std::vector<std::string> Ended() const {
    std::vector<std::string> names;
    for (const Ending& ending : endings_) names.push_back(ending.request);
    return names;
  }

  RequestMultiplexer multiplexer_{"localhost:7000"};
  std::vector<Ending> endings_;
};

TEST_F(RequestMultiplexerTest, SendsRequestsInTheOrderOfAdd) {
  const std::uint64_t first = Add("a");
  const std::uint64_t second = Add("b");
  EXPECT_EQ(first, 1U);
  EXPECT_EQ(second, 2U);
  EXPECT_THAT(SendAll(), ElementsAre(1, 2));
  EXPECT_THAT(SendAll(), IsEmpty());
  Add("c");
  EXPECT_THAT(SendAll(), ElementsAre(3));
  EXPECT_EQ(multiplexer_.pending(), 3U);
}

TEST_F(RequestMultiplexerTest, SendsTheTypeAndTheBytesOfARequest) {
  RequestMultiplexer::Request request = Request("a");
  const std::shared_ptr<const Body> body = request.body;
  multiplexer_.Add(std::move(request));
  const auto outgoing = multiplexer_.TakeNextToSend();
  ASSERT_TRUE(outgoing);
  EXPECT_EQ(outgoing->type, MessageType::kPushPull);
  EXPECT_EQ(outgoing->body, body);
}

TEST_F(RequestMultiplexerTest, MatchesAnswersInAnyOrder) {
  for (const char* name : {"a", "b", "c"}) Add(name);
  SendAll();
  EXPECT_TRUE(Answer(2, Body(2, std::byte{0})).ok());
  EXPECT_TRUE(Answer(3, Body(3, std::byte{0})).ok());
  EXPECT_TRUE(Answer(1, Body(1)).ok());
  EXPECT_THAT(Ended(), ElementsAre("b", "c", "a"));
  for (const Ending& ending : endings_) EXPECT_TRUE(ending.status.ok());
  EXPECT_EQ(endings_[0].body.size(), 2U);
  EXPECT_EQ(endings_[2].body.size(), 1U);
  EXPECT_EQ(multiplexer_.pending(), 0U);
  EXPECT_EQ(multiplexer_.late_answers(), 0U);
}

TEST_F(RequestMultiplexerTest, AFailureEndsItsRequestOnlyAndNamesServerAndRequest) {
  Add("push-pull of step 7, shard 2");
  Add("b");
  SendAll();
  EXPECT_TRUE(Fail(1, StatusCode::kOutOfRange, "table 9 does not exist").ok());
  ASSERT_THAT(Ended(), ElementsAre("push-pull of step 7, shard 2"));
  EXPECT_EQ(endings_[0].status.code(), StatusCode::kOutOfRange);
  EXPECT_EQ(endings_[0].status.message(),
            "server localhost:7000, push-pull of step 7, shard 2: table 9 does not exist");
  EXPECT_TRUE(endings_[0].body.empty());
  EXPECT_EQ(multiplexer_.pending(), 1U);
}

TEST_F(RequestMultiplexerTest, CountsAndDropsLateAndRepeatedAnswers) {
  Add("a", seconds(1));
  Add("b");
  SendAll();
  multiplexer_.Expire(kStart + seconds(1));
  EXPECT_TRUE(Answer(1).ok());
  EXPECT_TRUE(Fail(1, StatusCode::kInternal, "").ok());
  EXPECT_TRUE(Answer(2).ok());
  EXPECT_TRUE(Answer(2).ok());
  EXPECT_THAT(Ended(), ElementsAre("a", "b"));
  EXPECT_EQ(multiplexer_.late_answers(), 3U);
}

TEST_F(RequestMultiplexerTest, RefusesAnswersToWhatWasNeverAsked) {
  Add("a");
  SendAll();
  Add("not sent yet");
  for (const std::uint64_t id : std::vector<std::uint64_t>{0, 2, 3, ~0ULL}) {
    const Status status = Answer(id);
    EXPECT_EQ(status.code(), StatusCode::kDataLoss) << id;
    EXPECT_EQ(status.message(), "server localhost:7000: rows answers request " +
                                    std::to_string(id) + ", which was not sent");
  }
  EXPECT_THAT(Ended(), IsEmpty());
  EXPECT_EQ(multiplexer_.late_answers(), 0U);
  EXPECT_EQ(multiplexer_.pending(), 2U);
}

TEST_F(RequestMultiplexerTest, RefusesAnAnswerOnANewConnectionToWhatWasSentOnTheOld) {
  Add("a");
  SendAll();
  multiplexer_.OnDisconnected();
  EXPECT_EQ(Answer(1).code(), StatusCode::kDataLoss);
  SendAll();
  EXPECT_TRUE(Answer(1).ok());
}

TEST_F(RequestMultiplexerTest, RefusesAnAnswerOfAnotherType) {
  Add("push of step 3");
  SendAll();
  for (const MessageType type : {MessageType::kDone, MessageType::kPushPull, MessageType::kWelcome,
                                 static_cast<MessageType>(77)}) {
    const Status status = Answer(1, {}, type);
    EXPECT_EQ(status.code(), StatusCode::kDataLoss);
    EXPECT_THAT(status.message(), HasSubstr("localhost:7000, push of step 3: answered by "));
    EXPECT_THAT(status.message(), HasSubstr("must be rows"));
  }
  EXPECT_THAT(Ended(), IsEmpty());
}

TEST_F(RequestMultiplexerTest, RefusesAFailureThatMakesNoSense) {
  Add("push of step 3");
  SendAll();
  const Status status = Answer(1, Body(1), MessageType::kFailure);
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr("localhost:7000, push of step 3: failure message"));
  EXPECT_THAT(Ended(), IsEmpty());
  EXPECT_EQ(multiplexer_.pending(), 1U);
}

TEST_F(RequestMultiplexerTest, RefusesFlagsThatItDoesNotKnow) {
  Add("a");
  SendAll();
  const Status status = Answer(1, {}, MessageType::kRows, 4);
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr("unknown flags 0x4"));
  EXPECT_THAT(Ended(), IsEmpty());
}

TEST_F(RequestMultiplexerTest, SendsAgainWhatABrokenConnectionLeftUnanswered) {
  std::vector<std::shared_ptr<const Body>> bodies;
  for (const char* name : {"a", "b", "c", "d"}) {
    RequestMultiplexer::Request request = Request(name);
    bodies.push_back(request.body);
    multiplexer_.Add(std::move(request));
  }
  for (int i = 0; i < 3; ++i) (void)multiplexer_.TakeNextToSend();
  EXPECT_TRUE(Answer(2).ok());
  multiplexer_.OnDisconnected();
  Add("e");
  std::vector<std::uint64_t> ids;
  while (const auto outgoing = multiplexer_.TakeNextToSend()) {
    ids.push_back(outgoing->id);
    if (outgoing->id <= 4) {
      EXPECT_EQ(outgoing->body, bodies[outgoing->id - 1]);
    }
  }
  EXPECT_THAT(ids, ElementsAre(1, 3, 4, 5));
  EXPECT_THAT(Ended(), ElementsAre("b"));
}

TEST_F(RequestMultiplexerTest, MayLoseItsConnectionAnyNumberOfTimes) {
  for (const char* name : {"a", "b"}) Add(name);
  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(SendAll(), ElementsAre(1, 2));
    multiplexer_.OnDisconnected();
    multiplexer_.OnDisconnected();
  }
  SendAll();
  EXPECT_TRUE(Answer(1).ok());
  EXPECT_TRUE(Answer(2).ok());
  EXPECT_THAT(Ended(), ElementsAre("a", "b"));
}

TEST_F(RequestMultiplexerTest, EndsWhatIsOverdueAndNothingElse) {
  Add("late", seconds(5));
  Add("in time", seconds(6));
  Add("late too", seconds(4));
  (void)multiplexer_.TakeNextToSend();
  multiplexer_.Expire(kStart + seconds(4) - std::chrono::nanoseconds(1));
  EXPECT_THAT(Ended(), IsEmpty());
  multiplexer_.Expire(kStart + seconds(5));
  ASSERT_THAT(Ended(), ElementsAre("late", "late too"));
  for (const Ending& ending : endings_) {
    EXPECT_EQ(ending.status.code(), StatusCode::kDeadlineExceeded);
  }
  EXPECT_EQ(endings_[0].status.message(),
            "server localhost:7000, late: sent, but not answered within its deadline");
  EXPECT_EQ(endings_[1].status.message(),
            "server localhost:7000, late too: not sent within its deadline: no connection");
  EXPECT_THAT(SendAll(), ElementsAre(2));
}

TEST_F(RequestMultiplexerTest, KnowsTheEarliestDeadline) {
  EXPECT_EQ(multiplexer_.next_deadline(), std::nullopt);
  Add("a", seconds(5));
  Add("b", seconds(3));
  Add("c", seconds(4));
  SendAll();
  EXPECT_EQ(multiplexer_.next_deadline(), kStart + seconds(3));
  EXPECT_TRUE(Answer(2).ok());
  EXPECT_EQ(multiplexer_.next_deadline(), kStart + seconds(4));
  multiplexer_.Expire(kStart + seconds(4));
  EXPECT_EQ(multiplexer_.next_deadline(), kStart + seconds(5));
  EXPECT_TRUE(Answer(1).ok());
  EXPECT_EQ(multiplexer_.next_deadline(), std::nullopt);
}

TEST_F(RequestMultiplexerTest, FailAllEndsEverythingNowAndLater) {
  Add("a");
  SendAll();
  Add("b");
  multiplexer_.FailAll(Status(StatusCode::kUnavailable, "lost its memory"));
  multiplexer_.FailAll(Status(StatusCode::kCancelled, "a later reason"));
  Add("c");
  ASSERT_THAT(Ended(), ElementsAre("a", "b", "c"));
  for (const Ending& ending : endings_) {
    EXPECT_EQ(ending.status.code(), StatusCode::kUnavailable);
    EXPECT_EQ(ending.status.message(),
              "server localhost:7000, " + ending.request + ": lost its memory");
  }
  EXPECT_EQ(multiplexer_.pending(), 0U);
  EXPECT_THAT(SendAll(), IsEmpty());
  EXPECT_THROW(multiplexer_.FailAll(Status()), CheckError);
}

TEST_F(RequestMultiplexerTest, RefusesABodyThatNoServerTakes) {
  RequestMultiplexer multiplexer("localhost:7000", 100);
  for (const std::size_t size : {100U, 101U}) {
    RequestMultiplexer::Request request = Request(std::to_string(size));
    request.body = std::make_shared<const Body>(size);
    multiplexer.Add(std::move(request));
  }
  ASSERT_THAT(Ended(), ElementsAre("101"));
  EXPECT_EQ(endings_[0].status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(
      endings_[0].status.message(),
      "server localhost:7000, 101: a request of 101 bytes, at most 100 are allowed: split it");
  EXPECT_EQ(multiplexer.TakeNextToSend()->id, 1U);
  EXPECT_FALSE(multiplexer.TakeNextToSend());
}

TEST_F(RequestMultiplexerTest, HandlersMayAddRequests) {
  RequestMultiplexer::Request request = Request("a");
  request.on_answer = [this](const Status&, std::span<const std::byte>) { Add("b"); };
  multiplexer_.Add(std::move(request));
  SendAll();
  EXPECT_TRUE(Answer(1).ok());
  EXPECT_THAT(SendAll(), ElementsAre(2));
  EXPECT_TRUE(Answer(2).ok());
  EXPECT_THAT(Ended(), ElementsAre("b"));
}

TEST_F(RequestMultiplexerTest, HandlersMayEndOthersWhileRequestsExpireOrFail) {
  for (const bool expire : {true, false}) {
    RequestMultiplexer multiplexer("localhost:7000");
    endings_.clear();
    for (const char* name : {"a", "b", "c"}) {
      RequestMultiplexer::Request request = Request(name, seconds(1));
      const AnswerHandler inner = request.on_answer;
      request.on_answer = [&multiplexer, inner](const Status& status,
                                                std::span<const std::byte> body) {
        inner(status, body);
        multiplexer.FailAll(Status(StatusCode::kCancelled, "stop"));
      };
      multiplexer.Add(std::move(request));
    }
    if (expire) {
      multiplexer.Expire(kStart + seconds(1));
    } else {
      multiplexer.FailAll(Status(StatusCode::kInternal, "stop"));
    }
    EXPECT_THAT(Ended(), ElementsAre("a", "b", "c"));
    EXPECT_EQ(multiplexer.pending(), 0U);
  }
}

TEST_F(RequestMultiplexerTest, ForgetsRequestsThatHaveEnded) {
  std::vector<std::weak_ptr<const Body>> bodies;
  for (int i = 0; i < 4; ++i) {
    RequestMultiplexer::Request request = Request("a", seconds(i == 1 ? 1 : 2));
    bodies.push_back(request.body);
    multiplexer_.Add(std::move(request));
  }
  const auto alive = [&] {
    return std::ranges::count_if(bodies, [](const auto& body) { return !body.expired(); });
  };
  SendAll();
  EXPECT_EQ(alive(), 4);
  EXPECT_TRUE(Answer(1).ok());
  EXPECT_EQ(alive(), 3);
  multiplexer_.Expire(kStart + seconds(1));
  EXPECT_EQ(alive(), 2);
  EXPECT_TRUE(Fail(3, StatusCode::kInternal, "").ok());
  EXPECT_EQ(alive(), 1);
  multiplexer_.FailAll(Status(StatusCode::kCancelled, ""));
  EXPECT_EQ(alive(), 0);
}

TEST_F(RequestMultiplexerTest, AHandlerIsCalledOnceInAllOfAHundredThousandRequests) {
  // Answered, expired without a connection, resent, failed: in turn, eight under way at a time.
  constexpr std::uint64_t kRequests = 100'000;
  std::uint64_t calls = 0;
  std::size_t most_pending = 0;
  for (std::uint64_t i = 1; i <= kRequests; ++i) {
    RequestMultiplexer::Request request = Request("a", seconds(i));
    request.on_answer = [&](const Status&, std::span<const std::byte>) { ++calls; };
    ASSERT_EQ(multiplexer_.Add(std::move(request)), i);
    if (i % 8 != 0) continue;
    most_pending = std::max(most_pending, multiplexer_.pending());
    if (i % 5 != 0) SendAll();
    if (i % 3 == 0) multiplexer_.OnDisconnected();
    if (i % 5 == 0) multiplexer_.Expire(kStart + seconds(i - 4));
    SendAll();
    for (std::uint64_t id = i - 7; id <= i; ++id) {
      const Status status = id % 4 == 0 ? Fail(id, StatusCode::kOutOfRange, "") : Answer(id);
      ASSERT_TRUE(status.ok()) << status.ToString();
    }
    ASSERT_EQ(multiplexer_.pending(), 0U);
  }
  EXPECT_EQ(calls, kRequests);
  EXPECT_EQ(most_pending, 8U);
  EXPECT_EQ(multiplexer_.next_deadline(), std::nullopt);
}

TEST_F(RequestMultiplexerTest, ARequestWithoutBodyOrHandlerIsABug) {
  RequestMultiplexer::Request request = Request("a");
  request.body = nullptr;
  EXPECT_THROW(multiplexer_.Add(request), CheckError);
  request = Request("a");
  request.on_answer = nullptr;
  EXPECT_THROW(multiplexer_.Add(request), CheckError);
}

}  // namespace
}  // namespace dcn::ps
