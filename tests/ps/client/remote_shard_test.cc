#include "ps/client/remote_shard.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/check.h"
#include "tests/ps/push_parts.h"

namespace dcn::ps {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::PushParts;

// Keeps the requests, or answers them at once.
class FakeSender final : public RequestSender {
 public:
  void Send(RequestMultiplexer::Request request) override {
    requests_.push_back(std::move(request));
    if (answers_at_once) Answer(Status(), {});
  }
  const RequestMultiplexer::Request& request() const { return requests_.back(); }
  std::size_t count() const { return requests_.size(); }
  void Answer(const Status& status, const Body& body) { requests_.back().on_answer(status, body); }
  void AnswerRows(std::span<const float> values) {
    Body body;
    std::ranges::copy(values, EncodeRows(1, values.size(), body).begin());
    Answer(Status(), body);
  }
  void Forget() { requests_.clear(); }

  bool answers_at_once = false;

 private:
  std::deque<RequestMultiplexer::Request> requests_;
};

class RemoteShardTest : public ::testing::Test {
 protected:
  FakeSender sender_;
  RemoteShard shard_{sender_, "host:7000", 2, 5s};
  const std::vector<Key> keys_ = {4, 2};
  std::vector<float> values_ = std::vector<float>(4);
  std::vector<float> more_values_ = std::vector<float>(2);
  std::vector<RowsToPull> pull_ = {{.table = 3, .keys = keys_, .values = values_},
                                   {.table = 1, .keys = keys_, .values = more_values_}};
};

TEST_F(RemoteShardTest, SendsAPushPullAndPutsTheRowsWhereTheyBelong) {
  PushParts part(1, 7, 0.5F, {{0, 1}});
  part.Add(3, 4, {0, 1}, std::vector<float>{2.0F, 3.0F});
  const auto before = std::chrono::steady_clock::now();
  shard_.StartPushPull(part.Request(), pull_);

  const RequestMultiplexer::Request& request = sender_.request();
  EXPECT_EQ(request.type, MessageType::kPushPull);
  EXPECT_EQ(request.answer, MessageType::kRows);
  EXPECT_EQ(request.description, "push-pull of step 7, shard 2");
  EXPECT_GE(request.deadline, before + 5s);
  PushPullMessage message;
  ASSERT_TRUE(DecodePushPull(*request.body, message).ok());
  EXPECT_EQ(message.shard, 2U);
  EXPECT_EQ(message.push.step, 7U);
  ASSERT_EQ(message.pull.size(), 2U);
  EXPECT_EQ(message.pull[0].dimension, 2U);

  sender_.AnswerRows(std::vector<float>{1, 2, 3, 4, 5, 6});
  EXPECT_TRUE(shard_.Finish().ok());
  EXPECT_THAT(values_, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(more_values_, ElementsAre(5, 6));
}

TEST_F(RemoteShardTest, AnswersOfAnotherSizeOrNoneAtAllAreErrorsThatNameTheRequest) {
  shard_.StartPull(pull_);
  sender_.AnswerRows(std::vector<float>(5));
  const Status size = shard_.Finish();
  EXPECT_EQ(size.code(), StatusCode::kUnavailable);
  EXPECT_EQ(size.message(),
            "server host:7000, pull, shard 2: the answer makes no sense: 5 values came, 6 were "
            "asked for");
  shard_.StartPull(pull_);
  sender_.Answer(Status(), Body(3, std::byte{0}));
  const Status nonsense = shard_.Finish();
  EXPECT_EQ(nonsense.code(), StatusCode::kUnavailable);
  EXPECT_THAT(nonsense.message(), HasSubstr("server host:7000, pull, shard 2"));
  EXPECT_THAT(values_, ElementsAre(0, 0, 0, 0));
}

TEST_F(RemoteShardTest, AReportThatMakesNoSenseIsAnErrorThatNamesTheRequest) {
  sender_.answers_at_once = true;  // with no bytes at all
  const Status status = shard_.QuerySnapshot(7).status();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("server host:7000, query snapshot of step 7"),
                                      HasSubstr("shard 2: the answer makes no sense: ")));
}

TEST_F(RemoteShardTest, PassesErrorsOnAsTheyAre) {
  shard_.StartPull(pull_);
  sender_.Answer(Status(StatusCode::kDeadlineExceeded, "too late"), {});
  const Status status = shard_.Finish();
  EXPECT_EQ(status.code(), StatusCode::kDeadlineExceeded);
  EXPECT_EQ(status.message(), "too late");
}

TEST_F(RemoteShardTest, CreatesTablesAndAssigns) {
  sender_.answers_at_once = true;
  const std::vector<TableDefinition> tables = {{"a", 2, {.seed = 1}, SgdOptions{}}};
  EXPECT_TRUE(shard_.CreateTables(tables).ok());
  CreateTablesMessage created;
  ASSERT_TRUE(DecodeCreateTables(*sender_.request().body, created).ok());
  EXPECT_EQ(created.tables, tables);

  EXPECT_TRUE(shard_.Assign(3, keys_, std::vector<float>{1, 2, 3, 4}).ok());
  AssignMessage assigned;
  ASSERT_TRUE(DecodeAssign(*sender_.request().body, assigned).ok());
  EXPECT_EQ(assigned.table, 3U);
  EXPECT_THAT(assigned.values, ElementsAre(1, 2, 3, 4));
}

TEST_F(RemoteShardTest, RefusesWhatFitsNoMessageWithoutSendingIt) {
  const auto expect_refused = [](const Status& status) {
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(status.message(), AllOf(HasSubstr("server host:7000"), HasSubstr("shard 2")));
  };
  pull_[0].values = std::span(values_).first(3);
  shard_.StartPull(pull_);
  expect_refused(shard_.Finish());
  shard_.StartPushPull({.rank = 0, .step = 1, .learning_rate = 1, .nodes = {}, .gradients = {}},
                       pull_);
  expect_refused(shard_.Finish());
  expect_refused(shard_.Assign(3, keys_, std::vector<float>(3)));
  expect_refused(shard_.Assign(3, {}, std::vector<float>(3)));
  expect_refused(
      shard_.CreateTables(std::vector<TableDefinition>(kMaxTables + 1, TableDefinition())));

  const std::vector<std::uint16_t> nodes = {0};  // for two keys
  const std::vector<RowGradients> gradients = {
      {.table = 3, .keys = keys_, .nodes = nodes, .values = values_}};
  shard_.StartPushPull(
      {.rank = 0, .step = 1, .learning_rate = 1, .nodes = {}, .gradients = gradients}, {});
  expect_refused(shard_.Finish());
  const std::vector<TreeNode> too_many(kMaxNodes + 1);
  shard_.StartPushPull(
      {.rank = 0, .step = 1, .learning_rate = 1, .nodes = too_many, .gradients = {}}, {});
  expect_refused(shard_.Finish());
  const std::vector<RowGradients> too_many_tables(kMaxTables + 1);
  shard_.StartPushPull(
      {.rank = 0, .step = 1, .learning_rate = 1, .nodes = {}, .gradients = too_many_tables}, {});
  expect_refused(shard_.Finish());
  EXPECT_EQ(sender_.count(), 0U);

  sender_.answers_at_once = true;  // and goes on
  EXPECT_TRUE(shard_.Assign(3, keys_, std::vector<float>(4)).ok());
}

TEST_F(RemoteShardTest, OneRequestAtATime) {
  EXPECT_THROW(std::ignore = shard_.Finish(), CheckError);
  shard_.StartPull(pull_);
  EXPECT_THROW(shard_.StartPull(pull_), CheckError);
}

TEST_F(RemoteShardTest, UsesTheMemoryOfItsMessagesAgain) {
  for (int i = 0; i < 100; ++i) {
    shard_.StartPull(pull_);
    sender_.AnswerRows(std::vector<float>(6));
    ASSERT_TRUE(shard_.Finish().ok());
    sender_.Forget();
  }
  EXPECT_EQ(shard_.idle_bodies(), 1U);
}

TEST_F(RemoteShardTest, TouchesNothingOnceItIsGone) {
  auto shard = std::make_unique<RemoteShard>(sender_, "host:7000", 0, 5s);
  shard->StartPull(pull_);
  shard.reset();
  sender_.AnswerRows(std::vector<float>(6, 1.0F));
  EXPECT_THAT(values_, ElementsAre(0, 0, 0, 0));
}

}  // namespace
}  // namespace dcn::ps
