// Which bytes a message has, told a second time: two builds that understand each other agree on
// them. A test here that fails means another version of the protocol.

#include <vector>

#include <gtest/gtest.h>

#include "ps/message.h"
#include "tests/ps/raw_body.h"

namespace dcn::ps {
namespace {

using testing::RawBody;

template <typename EncodeInto>
Body Encoded(EncodeInto encode) {
  Body body;
  encode(body);
  return body;
}

TEST(MessageLayoutTest, Hello) {
  EXPECT_EQ(Encoded([](Body& out) {
              Encode(Hello{Role::kWorker, 2, 3, "job", "token", 9}, out);
            }),
            RawBody().U16(1).U32(2).U32(3).Text("job").Text("token").U64(9).body());
  EXPECT_EQ(Encoded([](Body& out) {
              Encode(Hello{Role::kObserver, 0, 1, "", ""}, out);
            }),
            RawBody().U16(2).U32(0).U32(1).Text("").Text("").U64(0).body());
}

TEST(MessageLayoutTest, AnswersToAHello) {
  EXPECT_EQ(Encoded([](Body& out) {
              Encode(Welcome{7, 2, 5}, out);
            }),
            RawBody().U64(7).U32(2).U64(5).body());
  EXPECT_EQ(Encoded([](Body& out) {
              Encode(Failure{StatusCode::kUnavailable, "busy"}, out);
            }),
            RawBody().U16(6).Text("busy").body());
  EXPECT_EQ(Encoded([](Body& out) { EncodeText("{}", out); }), RawBody().Text("{}").body());
}

TEST(MessageLayoutTest, Tables) {
  const std::vector<TableDefinition> tables = {{"a", 8, {1, 0.5F}, AdamOptions{0.1F, 0.2F, 0.3F}},
                                               {"b", 7, {2, 0.5F}, LazyAdamOptions{1, 2, 3}},
                                               {"c", 6, {3, 0.5F}, AdagradOptions{4, 5}},
                                               {"d", 5, {4, 0.5F}, SgdOptions{}}};
  RawBody raw;
  raw.U32(9).U32(4);
  raw.Text("a").U32(8).U64(1).F32(0.5F).U32(1).F32(0.1F).F32(0.2F).F32(0.3F);
  raw.Text("b").U32(7).U64(2).F32(0.5F).U32(2).F32(1).F32(2).F32(3);
  raw.Text("c").U32(6).U64(3).F32(0.5F).U32(3).F32(4).F32(5);
  raw.Text("d").U32(5).U64(4).F32(0.5F).U32(4);
  EXPECT_EQ(Encoded([&](Body& out) { EncodeCreateTables(9, tables, out); }), raw.body());
}

TEST(MessageLayoutTest, RowsAndTheirKeys) {
  const std::vector<Key> keys = {11, 12, 13};
  std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const std::vector<RowsToPull> pull = {{4, keys, values}, {5, {}, {}}};
  RawBody head;
  head.U32(9).U32(2).U32(4).U32(3).U32(2).Pad().U64(11).U64(12).U64(13);
  EXPECT_EQ(Encoded([&](Body& out) { EncodePull(9, pull, out); }),
            RawBody(head).U32(5).U32(0).U32(0).Pad().body());
  EXPECT_EQ(Encoded([&](Body& out) { EncodeAssign(9, 4, keys, values, out); }), RawBody()
                                                                                    .U32(9)
                                                                                    .U32(4)
                                                                                    .U32(3)
                                                                                    .U32(2)
                                                                                    .U64(11)
                                                                                    .U64(12)
                                                                                    .U64(13)
                                                                                    .F32(1)
                                                                                    .F32(2)
                                                                                    .F32(3)
                                                                                    .F32(4)
                                                                                    .F32(5)
                                                                                    .F32(6)
                                                                                    .body());
  EXPECT_EQ(Encoded([&](Body& out) { EncodeRows(8, 1, out)[0] = 2; }),
            RawBody().U64(8).U64(1).F32(2).body());
  EXPECT_EQ(Encoded([&](Body& out) { EncodeRows(8, 1, out, kWantsStop)[0] = 2; }),
            RawBody().U64(8).U32(1).U32(2).F32(2).body());
}

TEST(MessageLayoutTest, Snapshots) {
  EXPECT_EQ(Encoded([](Body& out) {
              EncodeOpenSnapshots(9, {"/data/c", "n", 7, 2, 3}, out);
            }),
            RawBody().U32(9).Text("/data/c").Text("n").U64(7).U32(2).U32(3).body());
  EXPECT_EQ(Encoded([](Body& out) { EncodeQuerySnapshot(9, 40, out); }),
            RawBody().U32(9).U64(40).body());
  EXPECT_EQ(Encoded([](Body& out) {
              Encode(SnapshotReport{SnapshotReport::State::kFailed, 40, 5, 0.5, "full"}, out);
            }),
            RawBody().U32(3).U64(40).U64(5).U64(0x3fe0'0000'0000'0000).Text("full").body());
}

TEST(MessageLayoutTest, Restoring) {
  const std::vector<float> step_sizes = {0.5F, 0.25F};
  EXPECT_EQ(Encoded([&](Body& out) { EncodeBeginRestore(9, 2, step_sizes, out); }),
            RawBody().U32(9).U64(2).U32(2).F32(0.5F).F32(0.25F).body());
  const std::vector<Key> keys = {11, 12};
  const std::vector<std::uint32_t> last_steps = {1, 2};
  const std::vector<float> records = {1, 2, 3, 4};
  RawBody raw;
  raw.U32(9).U32(4).U32(2).U32(2).U64(11).U64(12).U32(1).U32(2).F32(1).F32(2).F32(3).F32(4);
  EXPECT_EQ(Encoded([&](Body& out) {
              EncodeRestoreRows(9, {4, keys, last_steps, records}, out);
            }),
            raw.body());
}

TEST(MessageLayoutTest, PushPull) {
  const std::vector<Key> keys = {11, 12, 13};
  const std::vector<std::uint16_t> nodes = {1, 0, 1};
  std::vector<float> values = {1, 2, 3};
  const std::vector<TreeNode> tree = {{2, 0}, {1, 2}};
  const std::vector<RowGradients> gradients = {{4, keys, nodes, values}};
  const std::vector<RowsToPull> pull = {{4, keys, values}};
  const PushRequest push = {1, 7, 0.25F, tree, gradients, kTakesSnapshot};
  RawBody raw;
  raw.U32(9).U32(1).U64(7).F32(0.25F).U32(2).U32(1).U32(1).U64(1);
  raw.U32(2).U32(0).U32(1).U32(2);
  raw.U32(4).U32(3).U32(1).Pad().U64(11).U64(12).U64(13);
  raw.U16(1).U16(0).U16(1).Pad().F32(1).F32(2).F32(3);
  raw.U32(4).U32(3).U32(1).Pad().U64(11).U64(12).U64(13);
  EXPECT_EQ(Encoded([&](Body& out) { EncodePushPull(9, push, pull, out); }), raw.body());
}

}  // namespace
}  // namespace dcn::ps
