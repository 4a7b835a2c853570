#include <cstddef>
#include <type_traits>

#include "common/reduction_tree.h"
#include "ps/message.h"
#include "ps/message_bytes.h"
#include "ps/message_numbers.h"

namespace dcn::ps {
namespace {

// An array of nodes is read where it stands.
static_assert(sizeof(TreeNode) == 8 && offsetof(TreeNode, level) == 0 &&
              offsetof(TreeNode, index) == 4);
// Before that many bytes are known to be there, no memory is taken for a table.
constexpr std::size_t kRowsHeadBytes = 3 * sizeof(std::uint32_t);
constexpr std::size_t kMinTableBytes = 4 * sizeof(std::uint32_t) + sizeof(std::uint64_t);

static_assert(kMaxHelloBytes >=
              sizeof(std::uint16_t) + sizeof(std::uint32_t) + kMaxFailureTextBytes);

// What stands before every array of keys.
struct RowsHead {
  TableId table = 0;
  std::uint32_t keys = 0;
  std::uint32_t dimension = 0;
  [[nodiscard]] std::uint64_t values() const { return std::uint64_t{keys} * dimension; }
};

RowsHead ReadRowsHead(MessageReader& in) {
  RowsHead head;
  head.table = in.Read<TableId>("table");
  head.keys = in.Read<std::uint32_t>("count of keys");
  head.dimension = in.Read<std::uint32_t>("dimension");
  if (head.keys == 0 && head.dimension != 0) {
    in.Fail("dimension", "is {} without keys, must be 0", head.dimension);
  }
  return head;
}

void ReadPull(MessageReader& in, std::uint32_t tables, std::vector<PullKeys>& pull) {
  pull.clear();
  std::uint64_t values = 0;  // no overflow: all keys take 8 bytes of the body each
  for (std::uint32_t i = 0; i < tables && in.ok(); ++i) {
    const RowsHead head = ReadRowsHead(in);
    const auto keys = in.ReadArray<Key>("keys", head.keys);
    if (!in.ok()) return;
    values += head.values();
    if (values > kMaxPulledValues) {
      in.Fail("the pull", "asks for {} values or more, at most {} are allowed", values,
              kMaxPulledValues);
    }
    pull.push_back({.table = head.table, .dimension = head.dimension, .keys = keys});
  }
}

void ReadGradients(MessageReader& in, std::uint32_t tables, std::vector<RowGradients>& gradients) {
  gradients.clear();
  for (std::uint32_t i = 0; i < tables && in.ok(); ++i) {
    const RowsHead head = ReadRowsHead(in);
    RowGradients rows;
    rows.table = head.table;
    rows.keys = in.ReadArray<Key>("keys", head.keys);
    rows.nodes = in.ReadArray<std::uint16_t>("node numbers", head.keys);
    rows.values = in.ReadArray<float>("values", head.values());
    gradients.push_back(rows);
  }
}

template <typename Options>
Options ReadMoments(MessageReader& in) {
  Options adam;
  adam.beta_1 = in.Read<float>("beta_1");
  adam.beta_2 = in.Read<float>("beta_2");
  adam.epsilon = in.Read<float>("epsilon");
  return adam;
}

OptimizerOptions ReadOptimizer(MessageReader& in) {
  const auto number = in.Read<OptimizerNumber>("optimizer");
  switch (number) {
    case OptimizerNumber::kAdam:
      return ReadMoments<AdamOptions>(in);
    case OptimizerNumber::kLazyAdam:
      return ReadMoments<LazyAdamOptions>(in);
    case OptimizerNumber::kAdagrad: {
      AdagradOptions adagrad;
      adagrad.initial_accumulator = in.Read<float>("initial_accumulator");
      adagrad.epsilon = in.Read<float>("epsilon");
      return adagrad;
    }
    case OptimizerNumber::kSgd:
      return SgdOptions();
  }
  in.Fail("optimizer", "has the unknown number {}", static_cast<std::uint32_t>(number));
  return SgdOptions();
}

TableDefinition ReadTable(MessageReader& in) {
  TableDefinition table;
  table.name = in.ReadText("table name", kMaxNameBytes);
  table.dimension = in.Read<std::uint32_t>("dimension");
  table.initializer.seed = in.Read<std::uint64_t>("seed");
  table.initializer.limit = in.Read<float>("limit");
  table.optimizer = ReadOptimizer(in);
  return table;
}

void CheckHello(MessageReader& in, const Hello& hello) {
  if (hello.role != Role::kWorker && hello.role != Role::kObserver) {
    in.Fail("role", "has the unknown number {}", static_cast<std::uint16_t>(hello.role));
  }
  if (hello.ranks == 0 || hello.ranks > kMaxRanks) {
    in.Fail("ranks", "is {}, must be 1 to {}", hello.ranks, kMaxRanks);
  }
  if (hello.rank >= hello.ranks) in.Fail("rank", "is {} of {}", hello.rank, hello.ranks);
  if (hello.role == Role::kObserver && hello.job.empty()) return;
  if (const Status name = CheckJobName(hello.job); !name.ok()) in.Fail("job", "{}", name.message());
}

}  // namespace

Result<Hello> DecodeHello(std::span<const std::byte> body) {
  MessageReader in("hello", body);
  Hello hello;
  hello.role = in.Read<Role>("role");
  hello.rank = in.Read<std::uint32_t>("rank");
  hello.ranks = in.Read<std::uint32_t>("ranks");
  hello.job = in.ReadText("job", kMaxNameBytes);
  hello.token = in.ReadText("token", kMaxTokenBytes);
  hello.run = in.Read<std::uint64_t>("run");
  CheckHello(in, hello);
  DCN_RETURN_IF_ERROR(in.status());
  return hello;
}

Result<Welcome> DecodeWelcome(std::span<const std::byte> body) {
  MessageReader in("welcome", body);
  Welcome welcome;
  welcome.incarnation = in.Read<std::uint64_t>("incarnation");
  welcome.shards = in.Read<std::uint32_t>("shards");
  welcome.last_epoch = in.Read<std::uint64_t>("last_epoch");
  if (welcome.shards == 0 || welcome.shards > kMaxShards) {
    in.Fail("shards", "is {}, must be 1 to {}", welcome.shards, kMaxShards);
  }
  DCN_RETURN_IF_ERROR(in.status());
  return welcome;
}

Result<Failure> DecodeFailure(std::span<const std::byte> body) {
  MessageReader in("failure", body);
  const auto number = in.Read<std::uint16_t>("code");
  const auto code = StatusCodeOfNumber(number);
  if (!code) in.Fail("code", "has the unknown number {}", number);
  const std::string_view text = in.ReadText("text", kMaxFailureTextBytes);
  DCN_RETURN_IF_ERROR(in.Finish());
  return Failure{.code = *code, .text = std::string(text)};
}

Status DecodeCreateTables(std::span<const std::byte> body, CreateTablesMessage& out) {
  MessageReader in("create-tables", body);
  out.shard = in.Read<std::uint32_t>("shard");
  const std::uint32_t tables = in.ReadCount("count of tables", kMaxTables, kMinTableBytes);
  out.tables.clear();
  for (std::uint32_t i = 0; i < tables && in.ok(); ++i) out.tables.push_back(ReadTable(in));
  return in.Finish();
}

Status DecodePushPull(std::span<const std::byte> body, PushPullMessage& out) {
  MessageReader in("push-pull", body);
  out.shard = in.Read<std::uint32_t>("shard");
  out.push.rank = in.Read<std::uint32_t>("rank");
  out.push.step = in.Read<Step>("step");
  out.push.learning_rate = in.Read<float>("learning_rate");
  const std::uint32_t nodes = in.ReadCount("count of nodes", kMaxNodes, sizeof(TreeNode));
  const std::uint32_t pushed = in.ReadCount("count of tables pushed", kMaxTables, kRowsHeadBytes);
  const std::uint32_t pulled = in.ReadCount("count of tables pulled", kMaxTables, kRowsHeadBytes);
  const auto flags = in.Read<std::uint64_t>("flags");
  out.push.flags = static_cast<StepFlags>(flags);
  if (out.push.flags != flags) in.Fail("flags", "are {:#x}, above 32 bits", flags);
  out.push.nodes = in.ReadArray<TreeNode>("nodes", nodes);
  ReadGradients(in, pushed, out.gradients);
  ReadPull(in, pulled, out.pull);
  out.push.gradients = out.gradients;
  return in.Finish();
}

Status DecodePull(std::span<const std::byte> body, PullMessage& out) {
  MessageReader in("pull", body);
  out.shard = in.Read<std::uint32_t>("shard");
  const std::uint32_t tables = in.ReadCount("count of tables", kMaxTables, kRowsHeadBytes);
  ReadPull(in, tables, out.pull);
  return in.Finish();
}

Status DecodeAssign(std::span<const std::byte> body, AssignMessage& out) {
  MessageReader in("assign", body);
  out.shard = in.Read<std::uint32_t>("shard");
  const RowsHead head = ReadRowsHead(in);
  out.table = head.table;
  out.keys = in.ReadArray<Key>("keys", head.keys);
  out.values = in.ReadArray<float>("values", head.values());
  return in.Finish();
}

Status DecodeOpenSnapshots(std::span<const std::byte> body, OpenSnapshotsMessage& out) {
  MessageReader in("open-snapshots", body);
  out.shard = in.Read<std::uint32_t>("shard");
  out.place.folder = in.ReadText("folder", kMaxPathBytes);
  out.place.nonce = in.ReadText("nonce", kMaxNameBytes);
  out.place.epoch = in.Read<std::uint64_t>("epoch");
  out.place.shard = in.Read<std::uint32_t>("shard of the job");
  out.place.shards = in.Read<std::uint32_t>("shards");
  if (out.place.shard >= out.place.shards) {
    in.Fail("shard of the job", "is {} of {}", out.place.shard, out.place.shards);
  }
  return in.Finish();
}

Status DecodeQuerySnapshot(std::span<const std::byte> body, QuerySnapshotMessage& out) {
  MessageReader in("query-snapshot", body);
  out.shard = in.Read<std::uint32_t>("shard");
  out.step = in.Read<Step>("step");
  return in.Finish();
}

Result<SnapshotReport> DecodeSnapshot(std::span<const std::byte> body) {
  MessageReader in("snapshot", body);
  SnapshotReport report;
  report.state = in.Read<SnapshotReport::State>("state");
  report.step = in.Read<Step>("step");
  report.rows = in.Read<std::uint64_t>("rows");
  report.stall_seconds = in.Read<double>("stall_seconds");
  report.text = in.ReadText("text", kMaxTextBytes);
  if (report.state < SnapshotReport::State::kWriting ||
      report.state > SnapshotReport::State::kFailed) {
    in.Fail("state", "has the unknown number {}", static_cast<std::uint32_t>(report.state));
  }
  DCN_RETURN_IF_ERROR(in.Finish());
  return report;
}

Status DecodeBeginRestore(std::span<const std::byte> body, BeginRestoreMessage& out) {
  MessageReader in("begin-restore", body);
  out.shard = in.Read<std::uint32_t>("shard");
  out.step = in.Read<Step>("step");
  const auto count = in.Read<std::uint32_t>("count of step sizes");
  out.step_sizes = in.ReadArray<float>("step sizes", count);
  return in.Finish();
}

Status DecodeRestoreRows(std::span<const std::byte> body, RestoreRowsMessage& out) {
  MessageReader in("restore-rows", body);
  out.shard = in.Read<std::uint32_t>("shard");
  const RowsHead head = ReadRowsHead(in);
  out.rows.table = head.table;
  out.rows.keys = in.ReadArray<Key>("keys", head.keys);
  out.rows.last_steps = in.ReadArray<std::uint32_t>("last steps", head.keys);
  out.rows.records = in.ReadArray<float>("records", head.values());
  return in.Finish();
}

Result<RowsMessage> DecodeRows(std::span<const std::byte> body) {
  MessageReader in("rows", body);
  RowsMessage rows;
  rows.step = in.Read<Step>("step");
  const auto count = in.Read<std::uint32_t>("count of values");
  rows.flags = in.Read<StepFlags>("flags");
  rows.values = in.ReadArray<float>("values", count);
  DCN_RETURN_IF_ERROR(in.Finish());
  return rows;
}

Result<std::string_view> DecodeText(std::span<const std::byte> body) {
  MessageReader in("status", body);
  const std::string_view text = in.ReadText("text", kMaxTextBytes);
  DCN_RETURN_IF_ERROR(in.Finish());
  return text;
}

Status DecodeEmpty(MessageType type, std::span<const std::byte> body) {
  if (body.empty()) return Status();
  return Error(StatusCode::kDataLoss, "{} message, byte 0: the end is followed by {} bytes",
               MessageTypeName(static_cast<std::uint16_t>(type)), body.size());
}

}  // namespace dcn::ps
