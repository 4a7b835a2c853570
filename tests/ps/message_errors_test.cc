// What each decoder says about bytes that make no sense: every field, by name.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ps/message.h"
#include "tests/ps/raw_body.h"

namespace dcn::ps {
namespace {

using ::testing::HasSubstr;
using testing::RawBody;

constexpr std::uint32_t kHuge = 0xffffffff;

// REQUIRES: a decoder that refuses. Its error, without the text that all have.
std::string ErrorOf(const Status& status, std::string_view message) {
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  const std::string start = std::string(message) + " message, byte ";
  EXPECT_TRUE(status.message().starts_with(start)) << status.message();
  return status.message().substr(std::min(start.size(), status.message().size()));
}

std::string HelloError(const RawBody& raw) {
  return ErrorOf(DecodeHello(raw.body()).status(), "hello");
}
std::string WelcomeError(const RawBody& raw) {
  return ErrorOf(DecodeWelcome(raw.body()).status(), "welcome");
}
std::string FailureError(const RawBody& raw) {
  return ErrorOf(DecodeFailure(raw.body()).status(), "failure");
}
std::string TextError(const RawBody& raw) {
  return ErrorOf(DecodeText(raw.body()).status(), "status");
}
std::string RowsError(const RawBody& raw) {
  return ErrorOf(DecodeRows(raw.body()).status(), "rows");
}
std::string TablesError(const RawBody& raw) {
  CreateTablesMessage message;
  return ErrorOf(DecodeCreateTables(raw.body(), message), "create-tables");
}
std::string PushPullError(const RawBody& raw) {
  PushPullMessage message;
  return ErrorOf(DecodePushPull(raw.body(), message), "push-pull");
}
std::string PullError(const RawBody& raw) {
  PullMessage message;
  return ErrorOf(DecodePull(raw.body(), message), "pull");
}
std::string AssignError(const RawBody& raw) {
  AssignMessage message;
  return ErrorOf(DecodeAssign(raw.body(), message), "assign");
}

TEST(MessageErrorsTest, Hello) {
  const std::string name(kMaxNameBytes + 1, 'x');
  EXPECT_EQ(HelloError(RawBody()), "0: role is cut short: 0 of 2 bytes");
  EXPECT_EQ(HelloError(RawBody().U16(1).U16(0)), "2: rank is cut short: 2 of 4 bytes");
  EXPECT_EQ(HelloError(RawBody().U16(1).U32(0)), "6: ranks is cut short: 0 of 4 bytes");
  const RawBody head = RawBody().U16(1).U32(0).U32(1);
  EXPECT_EQ(HelloError(RawBody(head).U16(0)), "10: job is cut short: 2 of 4 bytes");
  EXPECT_EQ(HelloError(RawBody(head).Text(name)), "14: job is 257, at most 256 are allowed");
  EXPECT_EQ(HelloError(RawBody(head).U32(9).U16(0)), "14: job is 9, which 2 bytes cannot hold");
  EXPECT_EQ(HelloError(RawBody(head).Text("j")), "15: token is cut short: 0 of 4 bytes");
  EXPECT_EQ(HelloError(RawBody(head).Text("j").Text(name)),
            "19: token is 257, at most 256 are allowed");
  const auto hello = [](std::uint16_t role, std::uint32_t rank, std::uint32_t ranks,
                        std::string_view job) {
    return HelloError(RawBody().U16(role).U32(rank).U32(ranks).Text(job).Text(""));
  };
  EXPECT_THAT(hello(0, 0, 1, "j"), HasSubstr("role has the unknown number 0"));
  EXPECT_THAT(hello(3, 0, 1, "j"), HasSubstr("role has the unknown number 3"));
  EXPECT_THAT(hello(1, 0, 0, "j"), HasSubstr("ranks is 0, must be 1 to 65536"));
  EXPECT_THAT(hello(1, 0, 65537, "j"), HasSubstr("ranks is 65537, must be 1 to 65536"));
  EXPECT_THAT(hello(1, 2, 2, "j"), HasSubstr("rank is 2 of 2"));
  EXPECT_THAT(hello(1, 0, 1, ""), HasSubstr("job a name of 0 bytes"));
  EXPECT_THAT(hello(1, 0, 1, "a\nb"), HasSubstr("job a name with the control character 0x0a"));
  EXPECT_THAT(hello(2, 0, 1, "\x7f"), HasSubstr("job a name with the control character 0x7f"));
}

TEST(MessageErrorsTest, Welcome) {
  EXPECT_EQ(WelcomeError(RawBody().U32(1)), "0: incarnation is cut short: 4 of 8 bytes");
  EXPECT_EQ(WelcomeError(RawBody().U64(1)), "8: shards is cut short: 0 of 4 bytes");
  EXPECT_EQ(WelcomeError(RawBody().U64(1).U32(1).U8(1)),
            "12: last_epoch is cut short: 1 of 8 bytes");
  EXPECT_THAT(WelcomeError(RawBody().U64(1).U32(0).U64(1)),
              HasSubstr("shards is 0, must be 1 to 4096"));
  EXPECT_THAT(WelcomeError(RawBody().U64(1).U32(4097).U64(1)), HasSubstr("shards is 4097"));
}

TEST(MessageErrorsTest, Failure) {
  EXPECT_EQ(FailureError(RawBody().U8(1)), "0: code is cut short: 1 of 2 bytes");
  EXPECT_EQ(FailureError(RawBody().U16(1)), "2: text is cut short: 0 of 4 bytes");
  EXPECT_EQ(FailureError(RawBody().U16(0).Text("ok")), "2: code has the unknown number 0");
  EXPECT_EQ(FailureError(RawBody().U16(10).Text("")), "2: code has the unknown number 10");
  EXPECT_EQ(FailureError(RawBody().U16(1).Text(std::string(4097, 'x'))),
            "6: text is 4097, at most 4096 are allowed");
  EXPECT_EQ(FailureError(RawBody().U16(1).Text("x").U8(0)), "7: the end is followed by 1 bytes");
}

TEST(MessageErrorsTest, StatusText) {
  EXPECT_EQ(TextError(RawBody()), "0: text is cut short: 0 of 4 bytes");
  EXPECT_EQ(TextError(RawBody().U32(kHuge)), "4: text is 4294967295, at most 1048576 are allowed");
  EXPECT_EQ(TextError(RawBody().U32(2).U8(0)), "4: text is 2, which 1 bytes cannot hold");
  EXPECT_EQ(TextError(RawBody().U32(0).U8(0)), "4: the end is followed by 1 bytes");
}

TEST(MessageErrorsTest, EmptyMessages) {
  EXPECT_TRUE(DecodeEmpty(MessageType::kPing, {}).ok());
  EXPECT_EQ(ErrorOf(DecodeEmpty(MessageType::kEndJob, Body(3)), "end-job"),
            "0: the end is followed by 3 bytes");
}

TEST(MessageErrorsTest, CreateTables) {
  EXPECT_EQ(TablesError(RawBody()), "0: shard is cut short: 0 of 4 bytes");
  EXPECT_EQ(TablesError(RawBody().U32(0)), "4: count of tables is cut short: 0 of 4 bytes");
  EXPECT_EQ(TablesError(RawBody().U32(0).U32(kHuge)),
            "8: count of tables is 4294967295, at most 4096 are allowed");
  EXPECT_EQ(TablesError(RawBody().U32(0).U32(1).U64(0)),
            "8: count of tables is 1, which 8 bytes cannot hold");
  EXPECT_EQ(TablesError(RawBody().U32(0).U32(0).U8(0)), "8: the end is followed by 1 bytes");
  const RawBody head = RawBody().U32(0).U32(1);
  EXPECT_EQ(TablesError(RawBody(head).Text(std::string(257, 'x'))),
            "12: table name is 257, at most 256 are allowed");
  EXPECT_EQ(TablesError(RawBody(head).Text(std::string(20, 'x')).U16(0)),
            "32: dimension is cut short: 2 of 4 bytes");
  EXPECT_EQ(TablesError(RawBody(head).Text(std::string(16, 'x')).U32(1).U32(0)),
            "32: seed is cut short: 4 of 8 bytes");
  EXPECT_EQ(TablesError(RawBody(head).Text(std::string(8, 'x')).U32(1).U64(0)),
            "32: limit is cut short: 0 of 4 bytes");
  const RawBody table = RawBody(head).Text("abcd").U32(1).U64(0).F32(0);
  EXPECT_EQ(TablesError(table), "32: optimizer is cut short: 0 of 4 bytes");
  for (const std::uint32_t number : {0U, 5U, kHuge}) {
    EXPECT_THAT(TablesError(RawBody(table).U32(number)),
                HasSubstr("optimizer has the unknown number " + std::to_string(number)));
  }
  for (const std::uint32_t adam : {1U, 2U}) {
    EXPECT_THAT(TablesError(RawBody(table).U32(adam)), HasSubstr("36: beta_1 is cut short"));
    EXPECT_THAT(TablesError(RawBody(table).U32(adam).F32(0)), HasSubstr("40: beta_2 is cut short"));
    EXPECT_THAT(TablesError(RawBody(table).U32(adam).F32(0).F32(0)),
                HasSubstr("44: epsilon is cut short"));
  }
  EXPECT_THAT(TablesError(RawBody(table).U32(3)), HasSubstr("36: initial_accumulator is cut"));
  EXPECT_THAT(TablesError(RawBody(table).U32(3).F32(0)), HasSubstr("40: epsilon is cut short"));
}

// shard, rank, step, rate, counts of nodes, of tables pushed and pulled
RawBody PushPullHead(std::uint32_t nodes, std::uint32_t pushed, std::uint32_t pulled) {
  return RawBody().U32(0).U32(0).U64(1).F32(0).U32(nodes).U32(pushed).U32(pulled);
}

TEST(MessageErrorsTest, HeadOfAPushPull) {
  EXPECT_EQ(PushPullError(RawBody()), "0: shard is cut short: 0 of 4 bytes");
  EXPECT_EQ(PushPullError(RawBody().U32(0)), "4: rank is cut short: 0 of 4 bytes");
  EXPECT_EQ(PushPullError(RawBody().U64(0)), "8: step is cut short: 0 of 8 bytes");
  EXPECT_EQ(PushPullError(RawBody().U64(0).U64(0)), "16: learning_rate is cut short: 0 of 4 bytes");
  const RawBody head = RawBody().U64(0).U64(0).F32(0);
  EXPECT_EQ(PushPullError(head), "20: count of nodes is cut short: 0 of 4 bytes");
  EXPECT_EQ(PushPullError(RawBody(head).U32(0)),
            "24: count of tables pushed is cut short: 0 of 4 bytes");
  EXPECT_EQ(PushPullError(RawBody(head).U64(0)),
            "28: count of tables pulled is cut short: 0 of 4 bytes");
  EXPECT_EQ(PushPullError(PushPullHead(kHuge, 0, 0)),
            "24: count of nodes is 4294967295, at most 65536 are allowed");
  EXPECT_EQ(PushPullError(PushPullHead(2, 0, 0)),
            "24: count of nodes is 2, which 8 bytes cannot hold");
  EXPECT_EQ(PushPullError(PushPullHead(1, 0, 0)),
            "32: nodes of 1 elements, which 0 bytes cannot hold");
  EXPECT_EQ(PushPullError(PushPullHead(0, 4097, 0)),
            "28: count of tables pushed is 4097, at most 4096 are allowed");
  EXPECT_EQ(PushPullError(PushPullHead(0, 1, 0)),
            "28: count of tables pushed is 1, which 4 bytes cannot hold");
  EXPECT_EQ(PushPullError(PushPullHead(0, 0, kHuge)),
            "32: count of tables pulled is 4294967295, at most 4096 are allowed");
  EXPECT_EQ(PushPullError(PushPullHead(0, 0, 1)),
            "32: count of tables pulled is 1, which 0 bytes cannot hold");
  EXPECT_EQ(PushPullError(PushPullHead(0, 0, 0).U8(0)), "32: the end is followed by 1 bytes");
}

TEST(MessageErrorsTest, GradientsOfAPushPull) {
  const RawBody head = PushPullHead(0, 1, 0);
  EXPECT_EQ(PushPullError(RawBody(head).U32(0).U32(0).U32(1)),
            "44: dimension is 1 without keys, must be 0");
  const RawBody huge = RawBody(head).U32(0).U32(kHuge).U32(kHuge).Pad();
  EXPECT_EQ(PushPullError(RawBody(huge).U64(1)),
            "48: keys of 4294967295 elements, which 8 bytes cannot hold");
  const RawBody rows = RawBody(head).U32(0).U32(3).U32(2).Pad();
  EXPECT_EQ(PushPullError(RawBody(rows).U64(1).U64(2).U32(0)),
            "48: keys of 3 elements, which 20 bytes cannot hold");
  const RawBody keys = RawBody(rows).U64(1).U64(2).U64(3);
  EXPECT_EQ(PushPullError(RawBody(keys).U32(0)),
            "72: node numbers of 3 elements, which 4 bytes cannot hold");
  EXPECT_EQ(PushPullError(RawBody(keys).U32(0).U16(0)), "78: values is cut short: 0 of 2 bytes");
  EXPECT_EQ(PushPullError(RawBody(keys).U32(0).U16(0).Pad(1)),
            "80: values follows padding that is not zero");
  EXPECT_EQ(PushPullError(RawBody(keys).U64(0).F32(0)),
            "80: values of 6 elements, which 4 bytes cannot hold");
  // keys x dimension is computed without overflow
  EXPECT_EQ(
      PushPullError(RawBody(head).U32(0).U32(2).U32(1U << 31).Pad().U64(1).U64(2).U32(0).Pad()),
      "72: values of 4294967296 elements, which 0 bytes cannot hold");
  // what stands between the count and the keys
  EXPECT_EQ(PushPullError(RawBody(head).U32(0).U32(1).U32(1).Pad(0x80).U64(1)),
            "48: keys follows padding that is not zero");
  EXPECT_EQ(PushPullError(RawBody(head).U32(0).U32(1).U32(1)),
            "44: keys is cut short: 0 of 4 bytes");
}

TEST(MessageErrorsTest, PullOfAPushPull) {
  const RawBody head = PushPullHead(0, 0, 1);
  EXPECT_EQ(PushPullError(RawBody(head).U32(0).U32(2).U32(1).Pad().U64(1)),
            "48: keys of 2 elements, which 8 bytes cannot hold");
  EXPECT_EQ(PushPullError(RawBody(head).U32(0).U32(0).U32(0).Pad().U64(1)),
            "48: the end is followed by 8 bytes");
}

TEST(MessageErrorsTest, Pull) {
  EXPECT_EQ(PullError(RawBody()), "0: shard is cut short: 0 of 4 bytes");
  EXPECT_EQ(PullError(RawBody().U32(0)), "4: count of tables is cut short: 0 of 4 bytes");
  EXPECT_EQ(PullError(RawBody().U32(0).U32(kHuge)),
            "8: count of tables is 4294967295, at most 4096 are allowed");
  EXPECT_EQ(PullError(RawBody().U32(0).U32(1).U64(0)),
            "8: count of tables is 1, which 8 bytes cannot hold");
  // the second table's head is behind the end, though the count let two of 12 bytes through
  EXPECT_EQ(PullError(RawBody().U32(0).U32(2).U32(0).U32(1).U32(1).Pad().U64(1)),
            "32: table is cut short: 0 of 4 bytes");
  const RawBody head = RawBody().U32(0).U32(1);
  EXPECT_EQ(PullError(RawBody(head).U32(0).U32(0).U32(1)),
            "20: dimension is 1 without keys, must be 0");
  EXPECT_EQ(PullError(RawBody(head).U32(0).U32(1).U32(1).Pad(7).U64(1)),
            "24: keys follows padding that is not zero");
  EXPECT_EQ(PullError(RawBody(head).U32(0).U32(1).U32(1).Pad().U64(1).U8(0)),
            "32: the end is followed by 1 bytes");
}

TEST(MessageErrorsTest, PullThatNoAnswerHolds) {
  const auto pull = [](std::uint32_t dimension) {
    return RawBody()
        .U32(0)
        .U32(2)
        .U32(0)
        .U32(1)
        .U32(dimension)
        .Pad()
        .U64(1)
        .U32(1)
        .U32(1)
        .U32(100)
        .Pad()
        .U64(1);
  };
  const auto largest = static_cast<std::uint32_t>(kMaxPulledValues - 100);
  PullMessage message;
  EXPECT_TRUE(DecodePull(pull(largest).body(), message).ok());
  EXPECT_EQ(PullError(pull(largest + 1)),
            "56: the pull asks for 268435453 values or more, at most 268435452 are allowed");
  EXPECT_THAT(PullError(pull(kHuge)), HasSubstr("asks for 4294967295 values or more"));
}

TEST(MessageErrorsTest, Assign) {
  EXPECT_EQ(AssignError(RawBody()), "0: shard is cut short: 0 of 4 bytes");
  EXPECT_EQ(AssignError(RawBody().U32(0)), "4: table is cut short: 0 of 4 bytes");
  EXPECT_EQ(AssignError(RawBody().U64(0)), "8: count of keys is cut short: 0 of 4 bytes");
  EXPECT_EQ(AssignError(RawBody().U64(0).U32(1)), "12: dimension is cut short: 0 of 4 bytes");
  EXPECT_EQ(AssignError(RawBody().U64(0).U32(0).U32(1)),
            "16: dimension is 1 without keys, must be 0");
  EXPECT_EQ(AssignError(RawBody().U64(0).U32(kHuge).U32(kHuge)),
            "16: keys of 4294967295 elements, which 0 bytes cannot hold");
  const RawBody head = RawBody().U64(0).U32(1).U32(2).U64(1);
  EXPECT_EQ(AssignError(RawBody(head).F32(0)),
            "24: values of 2 elements, which 4 bytes cannot hold");
  EXPECT_EQ(AssignError(RawBody(head).U64(0).U8(0)), "32: the end is followed by 1 bytes");
}

TEST(MessageErrorsTest, Rows) {
  EXPECT_EQ(RowsError(RawBody()), "0: step is cut short: 0 of 8 bytes");
  EXPECT_EQ(RowsError(RawBody().U64(0)), "8: count of values is cut short: 0 of 8 bytes");
  EXPECT_EQ(RowsError(RawBody().U64(0).U64(2).F32(0)),
            "16: values of 2 elements, which 4 bytes cannot hold");
  EXPECT_EQ(RowsError(RawBody().U64(0).U64(~0ULL).F32(0)),
            "16: values of 18446744073709551615 elements, which 4 bytes cannot hold");
  EXPECT_EQ(RowsError(RawBody().U64(0).U64(0).F32(0)), "16: the end is followed by 4 bytes");
}

}  // namespace
}  // namespace dcn::ps
