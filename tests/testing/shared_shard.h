// A shard that several ranks of one process use, each from its own thread: the simplest thing that
// answers as a server does, for tests of what lies above.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <span>

#include "common/status.h"
#include "ps/server/local_shard.h"
#include "ps/server/shard.h"
#include "ps/shard_client.h"

namespace dcn::testing {

/// The shard and its lock. Outlives its clients.
struct SharedShard {
  explicit SharedShard(std::uint32_t ranks) : shard(ranks) {}
  std::mutex mutex;
  std::condition_variable applied;  // a push came in
  ps::Shard shard;                  // guarded by mutex
};

/// One rank's way to it.
class SharedShardClient final : public ps::ShardClient {
 public:
  SharedShardClient(SharedShard& shared, std::uint32_t rank)
      : shared_(shared), client_(shared.shard, rank) {}

  Status CreateTables(std::span<const ps::TableDefinition> tables) override {
    const std::lock_guard lock(shared_.mutex);
    return client_.CreateTables(tables);
  }
  void StartPushPull(const ps::PushRequest& push, std::span<const ps::RowsToPull> pull) override {
    const std::lock_guard lock(shared_.mutex);
    client_.StartPushPull(push, pull);
    shared_.applied.notify_all();
  }
  void StartPull(std::span<const ps::RowsToPull> pull) override {
    const std::lock_guard lock(shared_.mutex);
    client_.StartPull(pull);
  }
  Status Finish() override {
    std::unique_lock lock(shared_.mutex);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    for (;;) {
      Status status = client_.Finish();
      if (status.code() != StatusCode::kUnavailable) return status;
      if (shared_.applied.wait_until(lock, deadline) == std::cv_status::timeout) return status;
    }
  }
  [[nodiscard]] ps::StepFlags step_flags() const override {
    const std::lock_guard lock(shared_.mutex);
    return client_.step_flags();
  }
  Status OpenSnapshots(const ps::SnapshotPlace& place) override {
    const std::lock_guard lock(shared_.mutex);
    return client_.OpenSnapshots(place);
  }
  Result<ps::SnapshotReport> QuerySnapshot(ps::Step step) override {
    const std::lock_guard lock(shared_.mutex);
    return client_.QuerySnapshot(step);
  }
  Status BeginRestore(ps::Step step, std::span<const float> step_sizes) override {
    const std::lock_guard lock(shared_.mutex);
    return client_.BeginRestore(step, step_sizes);
  }
  Status RestoreRows(const ps::RowsToRestore& rows) override {
    const std::lock_guard lock(shared_.mutex);
    return client_.RestoreRows(rows);
  }
  Status Assign(ps::TableId table, std::span<const ps::Key> keys,
                std::span<const float> values) override {
    const std::lock_guard lock(shared_.mutex);
    return client_.Assign(table, keys, values);
  }

 private:
  SharedShard& shared_;
  ps::LocalShard client_;
};

}  // namespace dcn::testing
