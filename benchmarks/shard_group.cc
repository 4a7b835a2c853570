#include "benchmarks/shard_group.h"

#include <algorithm>
#include <utility>

#include "common/check.h"
#include "ps/partition.h"

namespace dcn::benchmarks {

ShardGroup::ShardGroup(std::vector<std::unique_ptr<ps::ShardClient>> shards)
    : shards_(std::move(shards)), parts_(shards_.size()) {
  DCN_CHECK(!shards_.empty());
}

Status ShardGroup::CreateTables(std::span<const ps::TableDefinition> tables) {
  for (const auto& shard : shards_) DCN_RETURN_IF_ERROR(shard->CreateTables(tables));
  return Status();
}

template <typename Take>
void ShardGroup::Cut(ps::TableId table, std::span<const ps::Key> keys, Take take) const {
  std::size_t first = 0;
  for (std::uint32_t shard = 0; shard < size(); ++shard) {
    const auto end = std::ranges::partition_point(
        keys.subspan(first), [&](ps::Key key) { return ps::ShardOf(table, key, size()) <= shard; });
    const auto count = static_cast<std::size_t>(end - keys.subspan(first).begin());
    take(shard, first, count);
    first += count;
  }
  DCN_CHECK_EQ(first, keys.size());
}

void ShardGroup::CutPull(std::span<const ps::RowsToPull> pull) {
  for (Part& part : parts_) part.pull.clear();
  for (const ps::RowsToPull& rows : pull) {
    const std::size_t dimension = rows.keys.empty() ? 0 : rows.values.size() / rows.keys.size();
    Cut(rows.table, rows.keys, [&](std::uint32_t shard, std::size_t first, std::size_t count) {
      parts_[shard].pull.push_back({rows.table, rows.keys.subspan(first, count),
                                    rows.values.subspan(first * dimension, count * dimension)});
    });
  }
}

void ShardGroup::StartPushPull(const ps::PushRequest& push, std::span<const ps::RowsToPull> pull) {
  for (Part& part : parts_) part.gradients.clear();
  for (const ps::RowGradients& rows : push.gradients) {
    const std::size_t dimension = rows.keys.empty() ? 0 : rows.values.size() / rows.keys.size();
    Cut(rows.table, rows.keys, [&](std::uint32_t shard, std::size_t first, std::size_t count) {
      parts_[shard].gradients.push_back(
          {.table = rows.table,
           .keys = rows.keys.subspan(first, count),
           .nodes = rows.nodes.subspan(first, count),
           .values = rows.values.subspan(first * dimension, count * dimension)});
    });
  }
  CutPull(pull);
  for (std::uint32_t shard = 0; shard < size(); ++shard) {
    ps::PushRequest part = push;
    part.gradients = parts_[shard].gradients;
    shards_[shard]->StartPushPull(part, parts_[shard].pull);
  }
}

void ShardGroup::StartPull(std::span<const ps::RowsToPull> pull) {
  CutPull(pull);
  for (std::uint32_t shard = 0; shard < size(); ++shard) {
    shards_[shard]->StartPull(parts_[shard].pull);
  }
}

Status ShardGroup::Finish() {
  Status first;
  for (const auto& shard : shards_) {
    const Status status = shard->Finish();
    if (first.ok()) first = status;
  }
  return first;
}

Status ShardGroup::Assign(ps::TableId table, std::span<const ps::Key> keys,
                          std::span<const float> values) {
  if (keys.empty()) return Status();
  const std::size_t dimension = values.size() / keys.size();
  for (std::uint32_t shard = 0; shard < size(); ++shard) {
    std::vector<ps::Key> own_keys;
    std::vector<float> own_values;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (ps::ShardOf(table, keys[i], size()) != shard) continue;
      own_keys.push_back(keys[i]);
      const auto row = values.subspan(i * dimension, dimension);
      own_values.insert(own_values.end(), row.begin(), row.end());
    }
    DCN_RETURN_IF_ERROR(shards_[shard]->Assign(table, own_keys, own_values));
  }
  return Status();
}

namespace {
Status NotForBenchmarks() {
  return Status(StatusCode::kInternal, "several shards as one take no snapshots");
}
}  // namespace

Status ShardGroup::OpenSnapshots(const ps::SnapshotPlace& /*place*/) { return NotForBenchmarks(); }
Result<ps::SnapshotReport> ShardGroup::QuerySnapshot(ps::Step /*step*/) {
  return NotForBenchmarks();
}
Status ShardGroup::BeginRestore(ps::Step /*step*/, std::span<const float> /*step_sizes*/) {
  return NotForBenchmarks();
}
Status ShardGroup::RestoreRows(const ps::RowsToRestore& /*rows*/) { return NotForBenchmarks(); }

}  // namespace dcn::benchmarks
