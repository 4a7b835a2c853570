// What each decoder says about bytes that make no sense: every field, by name.

#include <algorithm>
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
std::string OpenSnapshotsError(const RawBody& raw) {
  OpenSnapshotsMessage message;
  return ErrorOf(DecodeOpenSnapshots(raw.body(), message), "open-snapshots");
}
std::string QuerySnapshotError(const RawBody& raw) {
  QuerySnapshotMessage message;
  return ErrorOf(DecodeQuerySnapshot(raw.body(), message), "query-snapshot");
}
std::string SnapshotError(const RawBody& raw) {
  return ErrorOf(DecodeSnapshot(raw.body()).status(), "snapshot");
}
std::string BeginRestoreError(const RawBody& raw) {
  BeginRestoreMessage message;
  return ErrorOf(DecodeBeginRestore(raw.body(), message), "begin-restore");
}
std::string RestoreRowsError(const RawBody& raw) {
  RestoreRowsMessage message;
  return ErrorOf(DecodeRestoreRows(raw.body(), message), "restore-rows");
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
  EXPECT_EQ(HelloError(RawBody(head).Text("j").U32(5).U8(0)),
            "19: token is 5, which 1 bytes cannot hold");
  EXPECT_EQ(HelloError(RawBody(head).Text("j").Text("").U32(0)),
            "19: run is cut short: 4 of 8 bytes");
  const auto hello = [](std::uint16_t role, std::uint32_t rank, std::uint32_t ranks,
                        std::string_view job) {
    return HelloError(RawBody().U16(role).U32(rank).U32(ranks).Text(job).Text("").U64(0));
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
  EXPECT_EQ(FailureError(RawBody().U16(11).Text("")), "2: code has the unknown number 11");
  EXPECT_EQ(FailureError(RawBody().U16(1).Text(std::string(4097, 'x'))),
            "6: text is 4097, at most 4096 are allowed");
  EXPECT_EQ(FailureError(RawBody().U16(1).U32(5).U8(0)), "6: text is 5, which 1 bytes cannot hold");
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
  EXPECT_EQ(ErrorOf(DecodeEmpty(MessageType::kEndJob, Body(3, std::byte{0})), "end-job"),
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
  EXPECT_EQ(TablesError(RawBody(head).U32(30).U64(0).U64(0).U32(0)),
            "12: table name is 30, which 20 bytes cannot hold");
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
  EXPECT_EQ(TablesError(RawBody(table).U32(4).U8(0)), "36: the end is followed by 1 bytes");
}

// shard, rank, step, rate, counts of nodes, of tables pushed and pulled, flags
RawBody PushPullHead(std::uint32_t nodes, std::uint32_t pushed, std::uint32_t pulled) {
  return RawBody().U32(0).U32(0).U64(1).F32(0).U32(nodes).U32(pushed).U32(pulled).U64(0);
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
  const RawBody counts = RawBody(head).U32(0).U64(0);
  EXPECT_EQ(PushPullError(RawBody(counts).U32(0)), "32: flags is cut short: 4 of 8 bytes");
  EXPECT_EQ(PushPullError(RawBody(counts).U64(1ULL << 32)),
            "40: flags are 0x100000000, above 32 bits");
  EXPECT_EQ(PushPullError(PushPullHead(kHuge, 0, 0)),
            "24: count of nodes is 4294967295, at most 65536 are allowed");
  EXPECT_EQ(PushPullError(PushPullHead(3, 0, 0)),
            "24: count of nodes is 3, which 16 bytes cannot hold");
  EXPECT_EQ(PushPullError(PushPullHead(1, 0, 0)),
            "40: nodes of 1 elements, which 0 bytes cannot hold");
  EXPECT_EQ(PushPullError(PushPullHead(0, 4097, 0)),
            "28: count of tables pushed is 4097, at most 4096 are allowed");
  EXPECT_EQ(PushPullError(PushPullHead(0, 2, 0)),
            "28: count of tables pushed is 2, which 12 bytes cannot hold");
  EXPECT_EQ(PushPullError(PushPullHead(0, 0, kHuge)),
            "32: count of tables pulled is 4294967295, at most 4096 are allowed");
  EXPECT_EQ(PushPullError(PushPullHead(0, 0, 1)),
            "32: count of tables pulled is 1, which 8 bytes cannot hold");
  EXPECT_EQ(PushPullError(PushPullHead(0, 0, 0).U8(0)), "40: the end is followed by 1 bytes");
}

TEST(MessageErrorsTest, GradientsOfAPushPull) {
  const RawBody head = PushPullHead(0, 1, 0);
  EXPECT_EQ(PushPullError(head), "40: table is cut short: 0 of 4 bytes");
  EXPECT_EQ(PushPullError(RawBody(head).U32(0)), "44: count of keys is cut short: 0 of 4 bytes");
  EXPECT_EQ(PushPullError(RawBody(head).U64(0)), "48: dimension is cut short: 0 of 4 bytes");
  EXPECT_EQ(PushPullError(RawBody(head).U32(0).U32(0).U32(1)),
            "52: dimension is 1 without keys, must be 0");
  const RawBody huge = RawBody(head).U32(0).U32(kHuge).U32(kHuge).Pad();
  EXPECT_EQ(PushPullError(RawBody(huge).U64(1)),
            "56: keys of 4294967295 elements, which 8 bytes cannot hold");
  const RawBody rows = RawBody(head).U32(0).U32(3).U32(2).Pad();
  EXPECT_EQ(PushPullError(RawBody(rows).U64(1).U64(2).U32(0)),
            "56: keys of 3 elements, which 20 bytes cannot hold");
  const RawBody keys = RawBody(rows).U64(1).U64(2).U64(3);
  EXPECT_EQ(PushPullError(RawBody(keys).U32(0)),
            "80: node numbers of 3 elements, which 4 bytes cannot hold");
  EXPECT_EQ(PushPullError(RawBody(keys).U32(0).U16(0)), "86: values is cut short: 0 of 2 bytes");
  EXPECT_EQ(PushPullError(RawBody(keys).U32(0).U16(0).Pad(1)),
            "88: values follows padding that is not zero");
  EXPECT_EQ(PushPullError(RawBody(keys).U64(0).F32(0)),
            "88: values of 6 elements, which 4 bytes cannot hold");
  // keys x dimension is computed without overflow
  EXPECT_EQ(
      PushPullError(RawBody(head).U32(0).U32(2).U32(1U << 31).Pad().U64(1).U64(2).U32(0).Pad()),
      "80: values of 4294967296 elements, which 0 bytes cannot hold");
  // what stands between the count and the keys
  EXPECT_EQ(PushPullError(RawBody(head).U32(0).U32(1).U32(1).Pad(0x80).U64(1)),
            "56: keys follows padding that is not zero");
  EXPECT_EQ(PushPullError(RawBody(head).U32(0).U32(1).U32(1)),
            "52: keys is cut short: 0 of 4 bytes");
}

TEST(MessageErrorsTest, PullOfAPushPull) {
  const RawBody head = PushPullHead(0, 0, 1);
  EXPECT_EQ(PushPullError(RawBody(head).U32(0).U32(2).U32(1).Pad().U64(1)),
            "56: keys of 2 elements, which 8 bytes cannot hold");
  EXPECT_EQ(PushPullError(RawBody(head).U32(0).U32(0).U32(0).Pad().U64(1)),
            "56: the end is followed by 8 bytes");
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
  EXPECT_EQ(RowsError(RawBody().U64(0)), "8: count of values is cut short: 0 of 4 bytes");
  EXPECT_EQ(RowsError(RawBody().U64(0).U32(0)), "12: flags is cut short: 0 of 4 bytes");
  EXPECT_EQ(RowsError(RawBody().U64(0).U64(2).F32(0)),
            "16: values of 2 elements, which 4 bytes cannot hold");
  EXPECT_EQ(RowsError(RawBody().U64(0).U32(~0U).U32(0).F32(0)),
            "16: values of 4294967295 elements, which 4 bytes cannot hold");
  EXPECT_EQ(RowsError(RawBody().U64(0).U64(0).F32(0)), "16: the end is followed by 4 bytes");
}

TEST(MessageErrorsTest, OpenSnapshots) {
  EXPECT_EQ(OpenSnapshotsError(RawBody()), "0: shard is cut short: 0 of 4 bytes");
  const RawBody head = RawBody().U32(0);
  EXPECT_EQ(OpenSnapshotsError(head), "4: folder is cut short: 0 of 4 bytes");
  const std::string longest_folder(kMaxPathBytes, 'f');
  const std::string longest_nonce(kMaxNameBytes, 'n');
  EXPECT_EQ(OpenSnapshotsError(RawBody(head).Text(longest_folder + "f")),
            "8: folder is 4097, at most 4096 are allowed");
  EXPECT_EQ(OpenSnapshotsError(RawBody(head).U32(9).U16(0)),
            "8: folder is 9, which 2 bytes cannot hold");
  const RawBody folder = RawBody(head).Text("f");
  EXPECT_EQ(OpenSnapshotsError(folder), "9: nonce is cut short: 0 of 4 bytes");
  EXPECT_EQ(OpenSnapshotsError(RawBody(folder).Text(longest_nonce + "n")),
            "13: nonce is 257, at most 256 are allowed");
  EXPECT_EQ(OpenSnapshotsError(RawBody(folder).U32(2).U8(0)),
            "13: nonce is 2, which 1 bytes cannot hold");
  const RawBody names = RawBody(folder).Text("n");
  EXPECT_EQ(OpenSnapshotsError(RawBody(names).U32(0)), "14: epoch is cut short: 4 of 8 bytes");
  const RawBody epoch = RawBody(names).U64(1);
  EXPECT_EQ(OpenSnapshotsError(epoch), "22: shard of the job is cut short: 0 of 4 bytes");
  EXPECT_EQ(OpenSnapshotsError(RawBody(epoch).U32(0).U16(0)),
            "26: shards is cut short: 2 of 4 bytes");
  EXPECT_EQ(OpenSnapshotsError(RawBody(epoch).U32(3).U32(3)), "30: shard of the job is 3 of 3");
  EXPECT_EQ(OpenSnapshotsError(RawBody(epoch).U32(0).U32(0)), "30: shard of the job is 0 of 0");
  EXPECT_EQ(OpenSnapshotsError(RawBody(epoch).U32(kHuge).U32(1)),
            "30: shard of the job is 4294967295 of 1");
  EXPECT_EQ(OpenSnapshotsError(RawBody(epoch).U32(2).U32(3).U8(0)),
            "30: the end is followed by 1 bytes");
  OpenSnapshotsMessage message;
  EXPECT_TRUE(
      DecodeOpenSnapshots(
          RawBody(head).Text(longest_folder).Text(longest_nonce).U64(1).U32(2).U32(3).body(),
          message)
          .ok());
}

TEST(MessageErrorsTest, QuerySnapshot) {
  EXPECT_EQ(QuerySnapshotError(RawBody()), "0: shard is cut short: 0 of 4 bytes");
  EXPECT_EQ(QuerySnapshotError(RawBody().U64(0)), "4: step is cut short: 4 of 8 bytes");
  EXPECT_EQ(QuerySnapshotError(RawBody().U32(0).U64(0).U8(0)),
            "12: the end is followed by 1 bytes");
}

TEST(MessageErrorsTest, Snapshot) {
  EXPECT_EQ(SnapshotError(RawBody()), "0: state is cut short: 0 of 4 bytes");
  EXPECT_EQ(SnapshotError(RawBody().U32(1)), "4: step is cut short: 0 of 8 bytes");
  EXPECT_EQ(SnapshotError(RawBody().U32(1).U64(0)), "12: rows is cut short: 0 of 8 bytes");
  EXPECT_EQ(SnapshotError(RawBody().U32(1).U64(0).U64(0).U32(0)),
            "20: stall_seconds is cut short: 4 of 8 bytes");
  const auto head = [](std::uint32_t state) { return RawBody().U32(state).U64(0).U64(0).U64(0); };
  EXPECT_EQ(SnapshotError(head(1)), "28: text is cut short: 0 of 4 bytes");
  EXPECT_EQ(SnapshotError(head(1).Text(std::string(kMaxTextBytes + 1, 'x'))),
            "32: text is 1048577, at most 1048576 are allowed");
  EXPECT_EQ(SnapshotError(head(1).U32(3).U16(0)), "32: text is 3, which 2 bytes cannot hold");
  for (const std::uint32_t state : {0U, 4U, kHuge}) {
    EXPECT_EQ(SnapshotError(head(state).Text("")),
              "32: state has the unknown number " + std::to_string(state));
  }
  for (const std::uint32_t state : {1U, 2U, 3U}) {
    EXPECT_TRUE(DecodeSnapshot(head(state).Text("").body()).ok());
    EXPECT_EQ(SnapshotError(head(state).Text("").U8(0)), "32: the end is followed by 1 bytes");
  }
}

TEST(MessageErrorsTest, BeginRestore) {
  EXPECT_EQ(BeginRestoreError(RawBody()), "0: shard is cut short: 0 of 4 bytes");
  EXPECT_EQ(BeginRestoreError(RawBody().U64(0)), "4: step is cut short: 4 of 8 bytes");
  const RawBody head = RawBody().U32(0).U64(0);
  EXPECT_EQ(BeginRestoreError(RawBody(head).U16(0)),
            "12: count of step sizes is cut short: 2 of 4 bytes");
  EXPECT_EQ(BeginRestoreError(RawBody(head).U32(2).F32(0)),
            "16: step sizes of 2 elements, which 4 bytes cannot hold");
  EXPECT_EQ(BeginRestoreError(RawBody(head).U32(kHuge).F32(0)),
            "16: step sizes of 4294967295 elements, which 4 bytes cannot hold");
  EXPECT_EQ(BeginRestoreError(RawBody(head).U32(1).F32(0).U8(0)),
            "20: the end is followed by 1 bytes");
}

TEST(MessageErrorsTest, RestoreRows) {
  EXPECT_EQ(RestoreRowsError(RawBody()), "0: shard is cut short: 0 of 4 bytes");
  EXPECT_EQ(RestoreRowsError(RawBody().U32(0)), "4: table is cut short: 0 of 4 bytes");
  EXPECT_EQ(RestoreRowsError(RawBody().U64(0)), "8: count of keys is cut short: 0 of 4 bytes");
  EXPECT_EQ(RestoreRowsError(RawBody().U64(0).U32(1)), "12: dimension is cut short: 0 of 4 bytes");
  EXPECT_EQ(RestoreRowsError(RawBody().U64(0).U32(0).U32(6)),
            "16: dimension is 6 without keys, must be 0");
  EXPECT_EQ(RestoreRowsError(RawBody().U64(0).U32(kHuge).U32(kHuge)),
            "16: keys of 4294967295 elements, which 0 bytes cannot hold");
  const RawBody keys = RawBody().U64(0).U32(3).U32(2).U64(1).U64(2).U64(3);
  EXPECT_EQ(RestoreRowsError(RawBody(keys).U64(0)),
            "40: last steps of 3 elements, which 8 bytes cannot hold");
  const RawBody last_steps = RawBody(keys).U64(0).U32(0);
  EXPECT_EQ(RestoreRowsError(RawBody(last_steps).U16(0)), "52: records is cut short: 2 of 4 bytes");
  EXPECT_EQ(RestoreRowsError(RawBody(last_steps).Pad(1)),
            "56: records follows padding that is not zero");
  EXPECT_EQ(RestoreRowsError(RawBody(last_steps).Pad().F32(0)),
            "56: records of 6 elements, which 4 bytes cannot hold");
  // keys x dimension is computed without overflow
  EXPECT_EQ(RestoreRowsError(RawBody().U64(0).U32(2).U32(1U << 31).U64(1).U64(2).U64(0)),
            "40: records of 4294967296 elements, which 0 bytes cannot hold");
  EXPECT_EQ(RestoreRowsError(RawBody().U64(0).U32(1).U32(1).U64(1).U32(0).Pad().F32(0).U8(0)),
            "36: the end is followed by 1 bytes");
}

}  // namespace
}  // namespace dcn::ps
