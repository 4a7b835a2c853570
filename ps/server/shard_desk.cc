#include "ps/server/shard_desk.h"

#include <algorithm>
#include <utility>

#include <fmt/ranges.h>

#include "common/check.h"

namespace dcn::ps {

void ShardDesk::StartEpoch(std::string job, std::uint64_t epoch, std::uint32_t ranks) {
  EndEpoch();
  job_ = std::move(job);
  epoch_ = epoch;
  refusal_ = Status();
  shard_.emplace(ranks, std::move(snapshot_writer_));
  ranks_.resize(ranks);
  pushed_rows_ = 0;
  pulled_rows_ = 0;
}

void ShardDesk::Break(std::uint64_t epoch, const Status& status) {
  DCN_CHECK(!status.ok());
  if (epoch != epoch_ || !refusal_.ok()) return;
  refusal_ = status;
  RefuseParked(status);
  if (shard_) shard_->GiveUpSnapshot();  // nobody will ask for it
}

void ShardDesk::EndEpoch() {
  if (refusal_.ok()) refusal_ = OverStatus(epoch_);
  RefuseParked(refusal_);
  if (shard_) snapshot_writer_ = shard_->TakeSnapshotWriter();
  shard_.reset();
  ranks_.clear();
}

void ShardDesk::CreateTables(const Sender& sender, std::span<const TableDefinition> tables,
                             Reply& reply) {
  const Status status = CheckSender(sender);
  reply.Send(status.ok() ? shard_->CreateTables(tables) : status);
}

void ShardDesk::PushPull(const Sender& sender, const PushRequest& push, const WantedRows& wanted,
                         std::unique_ptr<Reply> reply) {
  const Status status = TryPush(sender, push, wanted);
  if (!status.ok()) {
    reply->Send(status);
    return;
  }
  RankState& state = ranks_[sender.rank];
  if (shard_->current_step() < push.step) {
    Park(state, wanted, std::move(reply));
    return;
  }
  state.reply.reset();
  AnswerRows(wanted, *reply);
  AnswerParked();
}

// Either takes the push, or recognizes one that was taken before: then nothing changes.
Status ShardDesk::TryPush(const Sender& sender, const PushRequest& push, const WantedRows& wanted) {
  DCN_RETURN_IF_ERROR(CheckSender(sender));
  if (push.rank != sender.rank) {
    return Error(StatusCode::kInvalidArgument, "push of rank {} through the connection of rank {}",
                 push.rank, sender.rank);
  }
  DCN_RETURN_IF_ERROR(CheckWanted(wanted));
  RankState& state = ranks_[sender.rank];
  if (push.step != 0 && push.step == state.pushed) return Status();
  DCN_RETURN_IF_ERROR(shard_->Push(push));
  state.pushed = push.step;
  for (const RowGradients& rows : push.gradients) pushed_rows_ += rows.keys.size();
  return Status();
}

void ShardDesk::Pull(const Sender& sender, const WantedRows& wanted, Reply& reply) {
  Status status = CheckSender(sender);
  if (status.ok()) status = CheckWanted(wanted);
  if (!status.ok()) {
    reply.Send(status);
    return;
  }
  AnswerRows(wanted, reply);
}

void ShardDesk::Assign(const Sender& sender, TableId table, std::span<const Key> keys,
                       std::span<const float> values, Reply& reply) {
  const Status status = CheckSender(sender);
  reply.Send(status.ok() ? shard_->Assign(table, keys, values) : status);
}

void ShardDesk::OpenSnapshots(const Sender& sender, const SnapshotPlace& place, Reply& reply) {
  Status status = CheckSender(sender);
  if (status.ok() && place.epoch != sender.epoch) {
    status = Error(StatusCode::kInvalidArgument, "snapshots of epoch {} in epoch {}", place.epoch,
                   sender.epoch);
  }
  if (status.ok()) {
    const Result<SnapshotPlace> real = place_check_.Check(checkpoint_root_, place);
    status = real.status();
    if (real.ok()) shard_->OpenSnapshots(*real);
  }
  reply.Send(status);
}

void ShardDesk::QuerySnapshot(const Sender& sender, Step step, Reply& reply) {
  Status status = CheckSender(sender);
  if (status.ok()) {
    const Result<SnapshotReport> report = shard_->QuerySnapshot(step);
    status = report.status();
    if (report.ok()) reply.SetReport(*report);
  }
  reply.Send(status);
}

void ShardDesk::BeginRestore(const Sender& sender, Step step, std::span<const float> step_sizes,
                             Reply& reply) {
  const Status status = CheckSender(sender);
  reply.Send(status.ok() ? shard_->BeginRestore(step, step_sizes) : status);
}

void ShardDesk::RestoreRows(const Sender& sender, const RowsToRestore& rows, Reply& reply) {
  const Status status = CheckSender(sender);
  reply.Send(status.ok() ? shard_->RestoreRows(rows) : status);
}

void ShardDesk::Withdraw(const Sender& sender, std::string_view text) {
  if (!CheckSender(sender).ok()) return;
  const std::unique_ptr<Reply> reply = std::exchange(ranks_[sender.rank].reply, nullptr);
  if (reply == nullptr) return;
  reply->Send(Error(StatusCode::kDeadlineExceeded, "{}: waits for the push of rank {}", text,
                    fmt::join(shard_->MissingRanks(), ", ")));
}

ShardCounts ShardDesk::counts() const {
  ShardCounts counts;
  if (!shard_) return counts;
  counts.step = shard_->current_step();
  for (const EmbeddingTable& table : shard_->tables()) {
    counts.tables.push_back({table.definition().name, table.row_count(), table.memory_bytes()});
  }
  counts.pushed_rows = pushed_rows_;
  counts.pulled_rows = pulled_rows_;
  counts.waiting = static_cast<std::uint64_t>(
      std::ranges::count_if(ranks_, [](const RankState& state) { return state.reply != nullptr; }));
  return counts;
}

Status ShardDesk::CheckSender(const Sender& sender) const {
  if (sender.epoch != epoch_) return OverStatus(sender.epoch);
  if (!refusal_.ok()) return refusal_;
  DCN_CHECK(shard_.has_value());
  DCN_CHECK_LT(sender.rank, ranks_.size());
  return Status();
}

Status ShardDesk::OverStatus(std::uint64_t epoch) const {
  if (epoch == epoch_) {
    return Error(StatusCode::kUnavailable, "epoch {} of job '{}' is over", epoch, job_);
  }
  return Error(StatusCode::kUnavailable, "epoch {} is over: epoch {} of job '{}' is running", epoch,
               epoch_, job_);
}

Status ShardDesk::CheckWanted(const WantedRows& wanted) const {
  if (const auto* rows = std::get_if<std::span<const RowsToPull>>(&wanted)) {
    return shard_->CheckPull(*rows);
  }
  return CountValues(std::get<std::span<const PullKeys>>(wanted)).status();
}

Result<std::size_t> ShardDesk::CountValues(std::span<const PullKeys> pull) const {
  const std::span<const EmbeddingTable> tables = shard_->tables();
  std::size_t count = 0;
  for (const PullKeys& wanted : pull) {
    if (wanted.table >= tables.size()) {
      return Error(StatusCode::kOutOfRange,
                   "table {} does not exist: {} tables were created; create all tables first",
                   wanted.table, tables.size());
    }
    if (wanted.keys.empty()) continue;
    const TableDefinition& definition = tables[wanted.table].definition();
    if (wanted.dimension != definition.dimension) {
      return Error(StatusCode::kInvalidArgument,
                   "table '{}': rows of dimension {} are wanted, it has dimension {}",
                   definition.name, wanted.dimension, definition.dimension);
    }
    if (wanted.keys.size() > (kMaxPulledValues - count) / definition.dimension) {
      return Error(StatusCode::kInvalidArgument,
                   "more than {} values are wanted in one answer; ask for fewer rows at once",
                   kMaxPulledValues);
    }
    count += wanted.keys.size() * definition.dimension;
  }
  return count;
}

// REQUIRES: CheckWanted was OK.
void ShardDesk::AnswerRows(const WantedRows& wanted, Reply& reply) {
  if (const auto* rows = std::get_if<std::span<const RowsToPull>>(&wanted)) {
    for (const RowsToPull& of_table : *rows) pulled_rows_ += of_table.keys.size();
    reply.SetFlags(shard_->step_flags());
    reply.Send(shard_->Pull(*rows));
    return;
  }
  reply.Send(ReadIntoRoom(std::get<std::span<const PullKeys>>(wanted), reply));
}

Status ShardDesk::ReadIntoRoom(std::span<const PullKeys> pull, Reply& reply) {
  DCN_ASSIGN_OR_RETURN(const std::size_t count, CountValues(pull));
  std::span<float> room = reply.MakeRoom(shard_->current_step(), shard_->step_flags(), count);
  DCN_CHECK_EQ(room.size(), count);
  rows_.clear();
  for (const PullKeys& wanted : pull) {
    const std::size_t values =
        wanted.keys.size() * shard_->tables()[wanted.table].definition().dimension;
    rows_.push_back({wanted.table, wanted.keys, room.first(values)});
    room = room.subspan(values);
    pulled_rows_ += wanted.keys.size();
  }
  return shard_->Pull(rows_);
}

// Keeps the pull beyond the request that brought it.
void ShardDesk::Park(RankState& state, const WantedRows& wanted, std::unique_ptr<Reply> reply) {
  state.reply = std::move(reply);
  state.pull.clear();
  state.keys.clear();
  const auto* rows = std::get_if<std::span<const RowsToPull>>(&wanted);
  state.is_in_place = rows != nullptr;
  if (rows != nullptr) {
    state.rows = *rows;
    return;
  }
  const auto& pull = std::get<std::span<const PullKeys>>(wanted);
  std::size_t count = 0;
  for (const PullKeys& of_table : pull) count += of_table.keys.size();
  state.keys.reserve(count);  // the spans below stay valid
  for (const PullKeys& of_table : pull) {
    const std::size_t start = state.keys.size();
    state.keys.insert(state.keys.end(), of_table.keys.begin(), of_table.keys.end());
    state.pull.push_back(of_table);
    state.pull.back().keys = std::span(state.keys).subspan(start);
  }
}

// Answers what waited for the step that is applied now.
void ShardDesk::AnswerParked() {
  for (RankState& state : ranks_) {
    if (state.reply == nullptr || state.pushed > shard_->current_step()) continue;
    const std::unique_ptr<Reply> reply = std::move(state.reply);
    AnswerRows(state.is_in_place ? WantedRows(state.rows)
                                 : WantedRows(std::span<const PullKeys>(state.pull)),
               *reply);
  }
}

void ShardDesk::RefuseParked(const Status& status) {
  for (RankState& state : ranks_) {
    if (state.reply == nullptr) continue;
    const std::unique_ptr<Reply> reply = std::move(state.reply);
    reply->Send(status);
  }
}

}  // namespace dcn::ps
