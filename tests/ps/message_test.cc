#include "ps/message.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/bytes.h"
#include "common/check.h"
#include "tests/ps/message_samples.h"

namespace dcn::ps {
namespace {

using testing::FindFault;
using ::testing::HasSubstr;
using testing::MessageSample;
using testing::SampleRows;
using testing::SampleStep;
using testing::SampleTables;

const Hello kObserver = {Role::kObserver, 0, 1, "", ""};

template <typename T>
void ExpectSameBytes(std::span<const T> a, const std::vector<T>& vector) {
  const std::span<const T> b(vector);
  ASSERT_EQ(a.size(), b.size());
  EXPECT_EQ(AsText(std::as_bytes(a)), AsText(std::as_bytes(b)));
}

bool IsWithin(const void* pointer, const Body& body) {
  const auto* const byte = static_cast<const std::byte*>(pointer);
  return std::greater_equal<>()(byte, body.data()) &&
         std::less_equal<>()(byte, body.data() + body.size());
}

TEST(MessageTest, EveryKindDecodesToWhatWasEncoded) {
  std::set<std::string_view> kinds;
  for (const MessageSample& sample : testing::AllSamples()) {
    Body again;
    const Status status = sample.codec.recode(sample.body, again);
    EXPECT_TRUE(status.ok()) << status.ToString();
    EXPECT_EQ(again, sample.body) << sample.codec.name << " of " << sample.body.size();
    kinds.insert(sample.codec.name);
  }
  EXPECT_EQ(kinds.size(), testing::kMessageCodecs.size());
}

TEST(MessageTest, HellosKeepTheirFields) {
  for (const Hello& hello : {Hello{Role::kWorker, 2, 3, "job", "secret", 12345},
                             Hello{Role::kWorker, 0, 1, "j", ""}, kObserver}) {
    Body body;
    Encode(hello, body);
    const auto decoded = DecodeHello(body);
    ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
    EXPECT_EQ(decoded.value(), hello);
  }
}

TEST(MessageTest, WelcomesKeepTheirFields) {
  const Welcome welcome = {.incarnation = 1ULL << 63, .shards = 3, .last_epoch = 8};
  Body body;
  Encode(welcome, body);
  const auto decoded = DecodeWelcome(body);
  ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
  EXPECT_EQ(decoded.value(), welcome);
}

TEST(MessageTest, LaterVersionsMayAddFieldsToTheHandshake) {
  Body body;
  Encode(Hello{Role::kWorker, 2, 3, "job", "secret"}, body);
  body.resize(body.size() + 5, std::byte{7});
  EXPECT_EQ(DecodeHello(body).value().token, "secret");
  Encode(Welcome{.incarnation = 1, .shards = 2, .last_epoch = 3}, body);
  body.resize(body.size() + 5, std::byte{7});
  EXPECT_EQ(DecodeWelcome(body).value().last_epoch, 3U);
}

TEST(MessageTest, TableDefinitionsKeepTheirFields) {
  for (const std::size_t count : {0U, 1U, 3U, 4U, 4096U}) {
    const auto tables = SampleTables(count);
    Body body;
    EncodeCreateTables(5, tables, body);
    CreateTablesMessage decoded;
    decoded.tables = SampleTables(2);  // of a message before
    ASSERT_TRUE(DecodeCreateTables(body, decoded).ok());
    EXPECT_EQ(decoded.shard, 5U);
    EXPECT_EQ(decoded.tables, tables);
  }
}

struct StepSize {
  std::size_t nodes;
  std::size_t tables;
  std::size_t rows;
};

class MessageStepTest : public ::testing::TestWithParam<StepSize> {};

TEST_P(MessageStepTest, PushPullsKeepTheirFields) {
  SampleStep step(GetParam().nodes, GetParam().tables, GetParam().rows);
  const PushRequest push = step.push();
  Body body(100);  // of a message before
  EncodePushPull(2, push, step.pull, body);
  PushPullMessage decoded;
  decoded.pull.resize(5);
  decoded.gradients.resize(5);
  const Status status = DecodePushPull(body, decoded);
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(decoded.shard, 2U);
  EXPECT_EQ(decoded.push.rank, push.rank);
  EXPECT_EQ(decoded.push.step, push.step);
  EXPECT_EQ(decoded.push.learning_rate, push.learning_rate);
  EXPECT_TRUE(std::ranges::equal(decoded.push.nodes, push.nodes));
  ASSERT_EQ(decoded.push.gradients.size(), step.rows.size());
  ASSERT_EQ(decoded.pull.size(), step.rows.size());
  for (std::size_t i = 0; i < step.rows.size(); ++i) {
    const SampleRows& rows = step.rows[i];
    const RowGradients& gradients = decoded.push.gradients[i];
    EXPECT_EQ(gradients.table, rows.table);
    ExpectSameBytes(gradients.keys, rows.keys);
    ExpectSameBytes(gradients.nodes, rows.nodes);
    ExpectSameBytes(gradients.values, rows.values);
    EXPECT_EQ(decoded.pull[i].table, rows.table);
    EXPECT_EQ(decoded.pull[i].dimension, rows.keys.empty() ? 0 : i + 1);
    ExpectSameBytes(decoded.pull[i].keys, rows.keys);
  }
}

TEST_P(MessageStepTest, PullsKeepTheirFields) {
  SampleStep step(0, GetParam().tables, GetParam().rows);
  Body body;
  EncodePull(7, step.pull, body);
  PullMessage decoded;
  decoded.pull.resize(5);
  ASSERT_TRUE(DecodePull(body, decoded).ok());
  EXPECT_EQ(decoded.shard, 7U);
  ASSERT_EQ(decoded.pull.size(), step.rows.size());
  for (std::size_t i = 0; i < step.rows.size(); ++i) {
    EXPECT_EQ(decoded.pull[i].table, step.rows[i].table);
    ExpectSameBytes(decoded.pull[i].keys, step.rows[i].keys);
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, MessageStepTest,
                         ::testing::Values(StepSize{0, 0, 0}, StepSize{1, 1, 0}, StepSize{1, 1, 1},
                                           StepSize{3, 3, 7}, StepSize{5, 7, 1000},
                                           StepSize{65536, 1, 3}, StepSize{0, 4096, 1}));

TEST(MessageTest, AssignmentsKeepTheirFields) {
  for (const std::size_t count : {0U, 1U, 3U, 1000U}) {
    const SampleRows rows(6, count, 5);
    Body body;
    EncodeAssign(1, rows.table, rows.keys, rows.values, body);
    AssignMessage decoded;
    ASSERT_TRUE(DecodeAssign(body, decoded).ok());
    EXPECT_EQ(decoded.shard, 1U);
    EXPECT_EQ(decoded.table, 6U);
    ExpectSameBytes(decoded.keys, rows.keys);
    ExpectSameBytes(decoded.values, rows.values);
  }
}

TEST(MessageTest, RowsKeepTheirValues) {
  Body body;
  for (const std::size_t count : {7U, 0U, 1U, 1000U}) {
    const SampleRows rows(0, count, 1);
    const std::span<float> room = EncodeRows(9, count, body);
    ASSERT_EQ(room.size(), count);
    if (count > 0) std::memcpy(room.data(), rows.values.data(), room.size_bytes());
    const auto decoded = DecodeRows(body);
    ASSERT_TRUE(decoded.ok());
    EXPECT_EQ(decoded.value().step, 9U);
    ExpectSameBytes(decoded.value().values, rows.values);
  }
}

TEST(MessageTest, TextsKeepTheirBytes) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, kMaxTextBytes}) {
    const std::string text(size, '\n');
    Body body;
    EncodeText(text, body);
    EXPECT_EQ(DecodeText(body).value(), text);
  }
}

TEST(MessageTest, ArraysPointIntoTheBodyAndAreAligned) {
  SampleStep step(3, 3, 7);
  Body body;
  EncodePushPull(2, step.push(), step.pull, body);
  PushPullMessage decoded;
  ASSERT_TRUE(DecodePushPull(body, decoded).ok());
  std::vector<const void*> arrays = {decoded.push.nodes.data()};
  for (const RowGradients& rows : decoded.push.gradients) {
    arrays.insert(arrays.end(), {rows.keys.data(), rows.nodes.data(), rows.values.data()});
  }
  for (const PullKeys& rows : decoded.pull) arrays.push_back(rows.keys.data());
  for (const void* array : arrays) {
    EXPECT_TRUE(IsWithin(array, body));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(array) % 8, 0U);
  }
}

TEST(MessageTest, TheSameMessageHasTheSameBytesWhateverTheBodyHeld) {
  SampleStep step(3, 3, 7);
  Body clean;
  EncodePushPull(2, step.push(), step.pull, clean);
  Body used(10 * clean.size(), std::byte{0xff});
  EncodePushPull(2, step.push(), step.pull, used);
  EXPECT_EQ(used, clean);
}

TEST(MessageTest, FailuresKeepEveryCodeByAFixedNumber) {
  const std::vector<std::pair<StatusCode, int>> numbers = {
      {StatusCode::kInvalidArgument, 1},  {StatusCode::kNotFound, 2},
      {StatusCode::kAlreadyExists, 3},    {StatusCode::kOutOfRange, 4},
      {StatusCode::kDataLoss, 5},         {StatusCode::kUnavailable, 6},
      {StatusCode::kDeadlineExceeded, 7}, {StatusCode::kCancelled, 8},
      {StatusCode::kInternal, 9},         {StatusCode::kFailedPrecondition, 10}};
  for (const auto& [code, number] : numbers) {
    Body body;
    Encode(Failure{code, "why"}, body);
    EXPECT_EQ(LoadLittleEndian<std::uint16_t>(body.data()), number);
    EXPECT_EQ(DecodeFailure(body).value(), (Failure{code, "why"}));
  }
}

TEST(MessageTest, CutsLongTextsBetweenCharacters) {
  const std::string fill(kMaxFailureTextBytes - 1, 'x');
  const auto sent = [](const std::string& text) {
    Body body;
    Encode(Failure{StatusCode::kInternal, text}, body);
    return DecodeFailure(body).value().text;
  };
  EXPECT_EQ(sent(fill + "y"), fill + "y");
  EXPECT_EQ(sent(fill + "yz"), fill + "y");
  EXPECT_EQ(sent(fill + "é"), fill);
  EXPECT_EQ(sent(fill.substr(2) + "…"), fill.substr(2) + "…");
  EXPECT_EQ(sent(fill.substr(1) + "…"), fill.substr(1));
  EXPECT_EQ(sent(std::string(10'000, '\x80')).size(), kMaxFailureTextBytes - 3);  // no UTF-8
  Body body;
  EncodeText(std::string(kMaxTextBytes + 1, 'x'), body);
  EXPECT_EQ(DecodeText(body).value().size(), kMaxTextBytes);
  Encode(SnapshotReport{.text = std::string(kMaxTextBytes + 1, 'x')}, body);
  EXPECT_EQ(DecodeSnapshot(body).value().text.size(), kMaxTextBytes);
}

TEST(MessageTest, AFailureFitsIntoTheHandshake) {
  Body body;
  Encode(Failure{StatusCode::kInternal, std::string(10'000, 'x')}, body);
  EXPECT_LE(body.size(), kMaxHelloBytes);
  Encode(Hello{.job = std::string(kMaxNameBytes, 'x'), .token = std::string(kMaxTokenBytes, 'x')},
         body);
  EXPECT_LE(body.size(), kMaxHelloBytes);
}

TEST(MessageTest, EveryTypeHasANameOfItsOwn) {
  std::set<std::string> names;
  const std::vector<int> types = {1,  2,  3,  4,  5,  6,  7,  9,  11, 13,
                                  14, 15, 16, 18, 19, 21, 22, 23, 25};
  for (const int type : types) names.insert(MessageTypeName(static_cast<std::uint16_t>(type)));
  EXPECT_EQ(names.size(), types.size());
  for (const std::string& name : names) EXPECT_FALSE(name.starts_with("type ")) << name;
  EXPECT_EQ(MessageTypeName(77), "type 77");
  EXPECT_EQ(MessageTypeName(0), "type 0");
}

TEST(MessageTest, JobNamesArePlainAndNotTooLong) {
  EXPECT_TRUE(CheckJobName("ml-1m").ok());
  EXPECT_TRUE(CheckJobName("Züge 7").ok());
  EXPECT_TRUE(CheckJobName(std::string(kMaxNameBytes, 'x')).ok());
  for (const std::string& name :
       {std::string(), std::string(kMaxNameBytes + 1, 'x'), std::string("a\nb"),
        std::string("a\0b", 3), std::string("\x7f")}) {
    EXPECT_EQ(CheckJobName(name).code(), StatusCode::kInvalidArgument) << name;
  }
}

TEST(MessageTest, KnowsTheTablesThatAMessageCannotHold) {
  EXPECT_TRUE(CheckLimits(SampleTables(kMaxTables)).ok());
  EXPECT_EQ(CheckLimits(SampleTables(kMaxTables + 1)).code(), StatusCode::kInvalidArgument);
  std::vector<TableDefinition> tables = SampleTables(1);
  tables[0].name = std::string(kMaxNameBytes + 1, 'x');
  EXPECT_THAT(CheckLimits(tables).message(), HasSubstr("a name of 257 bytes"));
}

TEST(MessageTest, KnowsThePullsThatAnAnswerCannotHold) {
  float no_value = 0;  // sizes only are looked at
  std::vector<RowsToPull> pull(2);
  pull[0].values = {&no_value, kMaxPulledValues - 1};
  pull[1].values = {&no_value, 1};
  EXPECT_TRUE(CheckLimits(pull).ok());
  pull[1].values = {&no_value, 2};
  EXPECT_EQ(CheckLimits(pull).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(CheckLimits(std::vector<RowsToPull>(kMaxTables + 1)).code(),
            StatusCode::kInvalidArgument);
}

TEST(MessageTest, KnowsThePlacesOfSnapshotsThatAMessageCannotHold) {
  SnapshotPlace place = {std::string(kMaxPathBytes, 'f'), std::string(kMaxNameBytes, 'n'), 1, 0, 1};
  EXPECT_TRUE(CheckLimits(place).ok());
  place.nonce += 'n';
  EXPECT_EQ(CheckLimits(place).code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(CheckLimits(place).message(), HasSubstr("a nonce of 257 bytes"));
  place.nonce.clear();
  place.folder += 'f';
  EXPECT_EQ(CheckLimits(place).code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(CheckLimits(place).message(), HasSubstr("a path of 4097 bytes"));
}

TEST(MessageTest, EncodingWhatNoMessageHoldsIsABug) {
  Body body;
  SampleRows rows(0, 3, 2);
  const std::string too_long(kMaxNameBytes + 1, 'x');
  EXPECT_THROW(Encode(Hello{Role::kWorker, 0, 1, too_long, ""}, body), CheckError);
  EXPECT_THROW(Encode(Hello{Role::kWorker, 0, 1, "", too_long}, body), CheckError);
  EXPECT_THROW(Encode(Failure{StatusCode::kOk, ""}, body), CheckError);
  EXPECT_THROW(EncodeCreateTables(0, SampleTables(kMaxTables + 1), body), CheckError);
  EXPECT_THROW(EncodeAssign(0, 0, rows.keys, std::span(rows.values).first(5), body), CheckError);
  EXPECT_THROW(EncodeAssign(0, 0, {}, rows.values, body), CheckError);
  EXPECT_THROW((void)EncodeRows(0, kMaxPulledValues + 1, body), CheckError);
  EXPECT_THROW(EncodePull(0, std::vector<RowsToPull>(kMaxTables + 1), body), CheckError);
  std::vector<TableDefinition> long_name = SampleTables(1);
  long_name[0].name = too_long;
  EXPECT_THROW(EncodeCreateTables(0, long_name, body), CheckError);
  rows.nodes.pop_back();
  const std::vector<RowGradients> gradients = {rows.gradients()};
  EXPECT_THROW(EncodePushPull(0, {0, 1, 0, {}, gradients}, {}, body), CheckError);
  const std::vector<TreeNode> nodes(kMaxNodes + 1);
  EXPECT_THROW(EncodePushPull(0, {0, 1, 0, nodes, {}}, {}, body), CheckError);
  const std::vector<RowGradients> many(kMaxTables + 1);
  EXPECT_THROW(EncodePushPull(0, {0, 1, 0, {}, many}, {}, body), CheckError);
}

TEST(MessageTest, EncodingNumbersThatTheirFieldsCannotHoldIsABug) {
  constexpr std::size_t kTooMany = std::size_t{1} << 32;
  Body body;
  const std::vector<Key> keys = {1};
  float no_value = 0;  // the sizes are refused before anything is read
  const std::vector<RowsToPull> wide = {{0, keys, {&no_value, kTooMany}}};
  EXPECT_THROW(EncodePull(0, wide, body), CheckError);
  EXPECT_THROW(EncodeBeginRestore(0, 1, {&no_value, kTooMany}, body), CheckError);
}

TEST(MessageTest, EncodingSnapshotsThatNoMessageHoldsIsABug) {
  Body body;
  const std::string too_long(kMaxPathBytes + 1, 'x');
  EXPECT_THROW(EncodeOpenSnapshots(0, {too_long, "", 1, 0, 1}, body), CheckError);
  const std::vector<Key> keys = {1, 2};
  const std::vector<std::uint32_t> last_steps = {0, 0};
  const std::vector<float> records(6);
  EncodeRestoreRows(0, {0, keys, last_steps, records}, body);
  EXPECT_THROW(EncodeRestoreRows(0, {0, keys, std::span(last_steps).first(1), records}, body),
               CheckError);
  EXPECT_THROW(EncodeRestoreRows(0, {0, keys, last_steps, std::span(records).first(5)}, body),
               CheckError);
  EXPECT_THROW(EncodeRestoreRows(0, {0, {}, {}, records}, body), CheckError);
}

TEST(MessageTest, ABodyAtAnOddAddressIsABug) {
  Body body;
  Encode(Welcome{.shards = 1}, body);
  body.insert(body.begin(), std::byte{});
  EXPECT_THROW((void)DecodeWelcome(std::span(body).subspan(1)), CheckError);
}

}  // namespace
}  // namespace dcn::ps
