#include "ps/server/local_shard.h"

#include <utility>

#include <fmt/ranges.h>

#include "common/check.h"
#include "ps/server/snapshot_place.h"

namespace dcn::ps {

Status LocalShard::CreateTables(std::span<const TableDefinition> tables) {
  return shard_.CreateTables(tables);
}

Status LocalShard::Assign(TableId table, std::span<const Key> keys, std::span<const float> values) {
  return shard_.Assign(table, keys, values);
}

Status LocalShard::OpenSnapshots(const SnapshotPlace& place) {
  // The process may write where it may write.
  DCN_ASSIGN_OR_RETURN(SnapshotPlace real, CheckSnapshotPlace("/", place));
  shard_.OpenSnapshots(std::move(real));
  return Status();
}

void LocalShard::StartPushPull(const PushRequest& push, std::span<const RowsToPull> pull) {
  Start(pull, push.step);
  status_ = shard_.CheckPull(pull);
  if (status_.ok() && push.rank != rank_) {
    status_ = Error(StatusCode::kInvalidArgument, "push of rank {} through the client of rank {}",
                    push.rank, rank_);
  }
  if (status_.ok()) status_ = shard_.Push(push);
  is_done_ = !status_.ok() || TryPull();
}

void LocalShard::StartPull(std::span<const RowsToPull> pull) {
  Start(pull, 0);
  is_done_ = TryPull();
}

void LocalShard::Start(std::span<const RowsToPull> pull, Step as_of) {
  DCN_CHECK(!is_started_);
  is_started_ = true;
  is_done_ = false;
  as_of_ = as_of;
  pull_ = pull;
  status_ = Status();
}

bool LocalShard::TryPull() {
  if (shard_.current_step() < as_of_) return false;
  status_ = shard_.Pull(pull_);
  return true;
}

Status LocalShard::Finish() {
  DCN_CHECK(is_started_);
  if (!is_done_ && !TryPull()) {
    return Error(StatusCode::kUnavailable, "step {} waits for the push of rank {}", as_of_,
                 fmt::join(shard_.MissingRanks(), ", "));
  }
  is_started_ = false;
  return std::exchange(status_, Status());
}

}  // namespace dcn::ps
