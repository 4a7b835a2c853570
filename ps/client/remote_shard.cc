#include "ps/client/remote_shard.h"

#include <algorithm>
#include <utility>

#include "common/check.h"

namespace dcn::ps {
namespace {

using Clock = std::chrono::steady_clock;

// The multiplexer ends what is overdue; only where its thread is stuck does this run out.
constexpr std::chrono::seconds kBeyondDeadline{10};

Status CheckTableCount(std::size_t tables) {
  if (tables <= kMaxTables) return Status();
  return Error(StatusCode::kInvalidArgument, "{} tables in one request, at most {} are possible",
               tables, kMaxTables);
}

// Whether `values` has the same number of values for each key.
Status CheckRows(TableId table, std::size_t keys, std::size_t values) {
  if (keys == 0 ? values == 0 : values % keys == 0) return Status();
  return Error(StatusCode::kInvalidArgument, "table {}: {} values do not fit {} keys", table,
               values, keys);
}

Status CheckPull(std::span<const RowsToPull> pull) {
  for (const RowsToPull& rows : pull) {
    DCN_RETURN_IF_ERROR(CheckRows(rows.table, rows.keys.size(), rows.values.size()));
  }
  return CheckLimits(pull);
}

Status CheckPush(const PushRequest& push) {
  DCN_RETURN_IF_ERROR(CheckTableCount(push.gradients.size()));
  if (push.nodes.size() > kMaxNodes) {
    return Error(StatusCode::kInvalidArgument, "{} nodes in one push, at most {} are possible",
                 push.nodes.size(), kMaxNodes);
  }
  for (const RowGradients& rows : push.gradients) {
    DCN_RETURN_IF_ERROR(CheckRows(rows.table, rows.keys.size(), rows.values.size()));
    if (rows.nodes.size() == rows.keys.size()) continue;
    return Error(StatusCode::kInvalidArgument, "table {}: {} nodes for {} keys", rows.table,
                 rows.nodes.size(), rows.keys.size());
  }
  return Status();
}

// Returns the step's flags.
Result<StepFlags> CopyRows(std::span<const std::byte> body, std::span<const RowsToPull> pull) {
  DCN_ASSIGN_OR_RETURN(const RowsMessage message, DecodeRows(body));
  std::size_t wanted = 0;
  for (const RowsToPull& rows : pull) wanted += rows.values.size();
  if (message.values.size() != wanted) {
    return Error(StatusCode::kDataLoss, "{} values came, {} were asked for", message.values.size(),
                 wanted);
  }
  std::span<const float> values = message.values;
  for (const RowsToPull& rows : pull) {
    std::ranges::copy(values.first(rows.values.size()), rows.values.begin());
    values = values.subspan(rows.values.size());
  }
  return message.flags;
}

}  // namespace

RemoteShard::RemoteShard(RequestSender& sender, std::string server, std::uint32_t shard,
                         std::chrono::milliseconds timeout)
    : sender_(sender), server_(std::move(server)), shard_(shard), timeout_(timeout) {}

template <typename Encode>
Status RemoteShard::Ask(MessageType type, std::string name, const Status& status, Encode encode) {
  Draft draft = {.type = type,
                 .answer = MessageType::kDone,
                 .name = std::move(name),
                 .status = status,
                 .body = bodies_.Take()};
  if (draft.status.ok()) encode(*draft.body);
  Start(std::move(draft), {});
  return Finish();
}

Status RemoteShard::CreateTables(std::span<const TableDefinition> tables) {
  return Ask(MessageType::kCreateTables, "create tables", CheckLimits(tables),
             [&](Body& body) { EncodeCreateTables(shard_, tables, body); });
}

void RemoteShard::StartPushPull(const PushRequest& push, std::span<const RowsToPull> pull) {
  Draft draft = {.type = MessageType::kPushPull,
                 .answer = MessageType::kRows,
                 .name = fmt::format("push-pull of step {}", push.step),
                 .status = CheckPush(push),
                 .body = bodies_.Take()};
  if (draft.status.ok()) draft.status = CheckPull(pull);
  if (draft.status.ok()) EncodePushPull(shard_, push, pull, *draft.body);
  AnswerBox::Taker take = TakeRows(pull, draft.name);
  Start(std::move(draft), std::move(take));
}

void RemoteShard::StartPull(std::span<const RowsToPull> pull) {
  Draft draft = {.type = MessageType::kPull,
                 .answer = MessageType::kRows,
                 .name = "pull",
                 .status = CheckPull(pull),
                 .body = bodies_.Take()};
  if (draft.status.ok()) EncodePull(shard_, pull, *draft.body);
  AnswerBox::Taker take = TakeRows(pull, draft.name);
  Start(std::move(draft), std::move(take));
}

Status RemoteShard::Assign(TableId table, std::span<const Key> keys,
                           std::span<const float> values) {
  return Ask(MessageType::kAssign, fmt::format("assign to table {}", table),
             CheckRows(table, keys.size(), values.size()),
             [&](Body& body) { EncodeAssign(shard_, table, keys, values, body); });
}

Status RemoteShard::OpenSnapshots(const SnapshotPlace& place) {
  return Ask(MessageType::kOpenSnapshots, "open snapshots", CheckLimits(place),
             [&](Body& body) { EncodeOpenSnapshots(shard_, place, body); });
}

Result<SnapshotReport> RemoteShard::QuerySnapshot(Step step) {
  Draft draft = {.type = MessageType::kQuerySnapshot,
                 .answer = MessageType::kSnapshot,
                 .name = fmt::format("query snapshot of step {}", step),
                 .status = Status(),
                 .body = bodies_.Take()};
  EncodeQuerySnapshot(shard_, step, *draft.body);
  SnapshotReport report;
  const std::string name = draft.name;
  Start(std::move(draft), [this, &report, &name](std::span<const std::byte> body) -> Status {
    Result<SnapshotReport> decoded = DecodeSnapshot(body);
    if (!decoded.ok()) return Nonsense(name, decoded.status());
    report = *std::move(decoded);
    return Status();
  });
  DCN_RETURN_IF_ERROR(Finish());
  return report;
}

Status RemoteShard::BeginRestore(Step step, std::span<const float> step_sizes) {
  return Ask(MessageType::kBeginRestore, fmt::format("restore step {}", step), Status(),
             [&](Body& body) { EncodeBeginRestore(shard_, step, step_sizes, body); });
}

Status RemoteShard::RestoreRows(const RowsToRestore& rows) {
  return Ask(MessageType::kRestoreRows, fmt::format("restore rows of table {}", rows.table),
             CheckRows(rows.table, rows.keys.size(), rows.records.size()),
             [&](Body& body) { EncodeRestoreRows(shard_, rows, body); });
}

AnswerBox::Taker RemoteShard::TakeRows(std::span<const RowsToPull> pull, const std::string& name) {
  return [this, pull, name](std::span<const std::byte> body) {
    const Result<StepFlags> flags = CopyRows(body, pull);
    if (!flags.ok()) return Nonsense(name, flags.status());
    step_flags_ = *flags;
    return Status();
  };
}

Status RemoteShard::Refusal(const std::string& name, const Status& status) const {
  return Error(status.code(), "server {}, {}, shard {}: {}", server_, name, shard_,
               status.message());
}

Status RemoteShard::Nonsense(const std::string& name, const Status& status) const {
  return Error(StatusCode::kUnavailable, "server {}, {}, shard {}: the answer makes no sense: {}",
               server_, name, shard_, status.message());
}

void RemoteShard::Start(Draft draft, AnswerBox::Taker take) {
  DCN_CHECK(!is_started_);
  is_started_ = true;
  unsent_ = draft.status.ok() ? Status() : Refusal(draft.name, draft.status);
  if (!unsent_.ok()) return;
  deadline_ = Clock::now() + timeout_;
  sender_.Send({.type = draft.type,
                .answer = draft.answer,
                .description = fmt::format("{}, shard {}", draft.name, shard_),
                .body = std::move(draft.body),
                .deadline = deadline_,
                .on_answer = box_.Expect(std::move(take))});
}

Status RemoteShard::Finish() {
  DCN_CHECK(is_started_);
  is_started_ = false;
  if (!unsent_.ok()) return std::exchange(unsent_, Status());
  return box_.Wait(deadline_ + kBeyondDeadline);
}

}  // namespace dcn::ps
