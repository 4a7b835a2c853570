// A shard of a server in the same process, seen as any other: no socket, no encoding.
//
// A request is posted to the shard's thread, which reads the gradients and writes the rows where
// the trainer has them.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "common/status.h"
#include "ps/server/shard_desk.h"
#include "ps/server/shard_thread.h"
#include "ps/shard_client.h"

namespace dcn::ps {

/// One rank's way to one shard; made by HostedRank.
class HostedShard final : public ShardClient {
 public:
  /// thread: outlives this object. shard: its number within the server, for messages. timeout: a
  /// request that is not answered by then ends with kDeadlineExceeded; one that waits for other
  /// ranks names them. Where the shard is at that moment computing, its answer is waited for, for
  /// stuck_after at most: the request's memory is the trainer's again once Finish() has returned.
  /// Only where it says that the thread is stuck, the thread may still touch that memory: nothing
  /// is left then but to end the process.
  HostedShard(ShardThread& thread, std::uint32_t shard, const Sender& sender,
              std::chrono::milliseconds timeout, std::chrono::milliseconds stuck_after);
  /// Waits for a request that was started and not finished.
  ~HostedShard() override;

  [[nodiscard]] Status CreateTables(std::span<const TableDefinition> tables) override;
  void StartPushPull(const PushRequest& push, std::span<const RowsToPull> pull) override;
  void StartPull(std::span<const RowsToPull> pull) override;
  /// kUnavailable: the epoch is broken or over, says why. kDeadlineExceeded: names request and
  /// shard.
  [[nodiscard]] Status Finish() override;
  [[nodiscard]] std::chrono::steady_clock::time_point answered_at() const override;
  [[nodiscard]] StepFlags step_flags() const override;
  [[nodiscard]] Status Assign(TableId table, std::span<const Key> keys,
                              std::span<const float> values) override;
  [[nodiscard]] Status OpenSnapshots(const SnapshotPlace& place) override;
  [[nodiscard]] Result<SnapshotReport> QuerySnapshot(Step step) override;
  [[nodiscard]] Status BeginRestore(Step step, std::span<const float> step_sizes) override;
  [[nodiscard]] Status RestoreRows(const RowsToRestore& rows) override;

 private:
  // Where the answer arrives; shared with the reply, which the shard's thread may drop later.
  class Inbox;
  class InboxReply;

  void Start(std::string description);
  [[nodiscard]] std::unique_ptr<Reply> MakeReply();
  // Has ask(desk, reply) called on the shard's thread, and waits for the answer.
  template <typename Ask>
  [[nodiscard]] Status AskNow(std::string description, Ask ask);

  ShardThread& thread_;
  const std::uint32_t shard_;
  const Sender sender_;
  const std::chrono::milliseconds timeout_;
  const std::chrono::milliseconds stuck_after_;
  std::shared_ptr<Inbox> inbox_;
  bool is_started_ = false;
  std::string description_;  // of the request that was started
  std::chrono::steady_clock::time_point deadline_;
};

}  // namespace dcn::ps
