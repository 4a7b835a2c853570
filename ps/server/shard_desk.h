// One shard of a server, with the requests that wait for it: whose push-pull is answered when.
//
// Decides only: knows neither sockets nor threads nor clocks. Requests come from the server's
// connections and from the ranks of its own process alike; answers go out through Reply. A pull
// that came with a push waits here until every rank has pushed that step; what is remembered of a
// rank is its last push and at most one waiting pull.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/status.h"
#include "ps/message.h"
#include "ps/protocol.h"
#include "ps/server/shard.h"
#include "ps/server/snapshot_place.h"

namespace dcn::ps {

/// The way back of one request. Destroyed without Send: the request was replaced by its repetition.
class Reply {
 public:
  virtual ~Reply() = default;

  /// Room for the rows that PullKeys ask for, `count` values as of `step`, whose flags are `flags`;
  /// called before Send.
  virtual std::span<float> MakeRoom(Step step, StepFlags flags, std::size_t count) = 0;
  /// The flags alone, where the rows have a place already; called before Send.
  virtual void SetFlags(StepFlags flags) = 0;

  /// How far a snapshot is; called before Send.
  virtual void SetReport(const SnapshotReport& report) = 0;

  /// The answer, once: done (rows in place), or why not.
  virtual void Send(const Status& status) = 0;
};

/// The rows that a request asks for: keys whose values go into Reply::MakeRoom, or rows that name
/// the place of their values themselves. The latter stay alive until the answer.
using WantedRows = std::variant<std::span<const PullKeys>, std::span<const RowsToPull>>;

/// Who asks: a rank of an epoch of the job.
struct Sender {
  std::uint64_t epoch = 0;
  std::uint32_t rank = 0;
};

/// What a shard says about itself; since the epoch's start.
struct ShardCounts {
  struct Table {
    std::string name;
    std::uint64_t rows = 0;
    std::uint64_t bytes = 0;
  };
  std::vector<Table> tables;
  std::uint64_t step = 0;         // the last one applied
  std::uint64_t pushed_rows = 0;  // entries of all pushes
  std::uint64_t pulled_rows = 0;
  std::uint64_t waiting = 0;  // pulls that wait for a step
};

/// Thread safety: none; confined to its shard's thread. Every request is answered through its
/// reply, at once or by a later call. Requests of another epoch than the current one, or of a
/// broken one, get kUnavailable.
class ShardDesk {
 public:
  /// Starts an epoch with a fresh shard. Waiting requests of an earlier one are answered as over.
  void StartEpoch(std::string job, std::uint64_t epoch, std::uint32_t ranks);
  /// Answers every waiting and later request of `epoch` with `status`; memory is kept.
  void Break(std::uint64_t epoch, const Status& status);
  /// Drops all memory; later requests are answered as over. Waiting ones, too.
  void EndEpoch();

  void CreateTables(const Sender& sender, std::span<const TableDefinition> tables, Reply& reply);

  /// Takes the sender's part of a step, and answers with rows once that step is applied: at once
  /// for the last rank and for a repetition of a step that is applied. A repetition that still
  /// waits takes the place of what it repeats. Errors as Shard::Push and Pull, and
  /// kInvalidArgument: the push of another rank, a dimension that is not the table's, an answer
  /// above the limit.
  void PushPull(const Sender& sender, const PushRequest& push, const WantedRows& wanted,
                std::unique_ptr<Reply> reply);

  void Pull(const Sender& sender, const WantedRows& wanted, Reply& reply);
  void Assign(const Sender& sender, TableId table, std::span<const Key> keys,
              std::span<const float> values, Reply& reply);

  /// Below which folder snapshots may be written; empty: nowhere.
  void SetCheckpointRoot(std::filesystem::path root) { checkpoint_root_ = std::move(root); }

  // As ShardClient's.
  void OpenSnapshots(const Sender& sender, const SnapshotPlace& place, Reply& reply);
  void QuerySnapshot(const Sender& sender, Step step, Reply& reply);
  void BeginRestore(const Sender& sender, Step step, std::span<const float> step_sizes,
                    Reply& reply);
  void RestoreRows(const Sender& sender, const RowsToRestore& rows, Reply& reply);

  /// Answers the sender's waiting pull, if there is one, with kDeadlineExceeded: `text` and the
  /// ranks that it waits for. From then on nothing that it pointed to is touched. Its push stays.
  void Withdraw(const Sender& sender, std::string_view text);

  [[nodiscard]] ShardCounts counts() const;

 private:
  // What is remembered of one rank. The vectors keep their memory from step to step.
  struct RankState {
    Step pushed = 0;               // its last push that was taken
    std::unique_ptr<Reply> reply;  // of the pull that waits for step `pushed`; null: none
    bool is_in_place = false;      // which of the following it wants
    std::span<const RowsToPull> rows;
    std::vector<PullKeys> pull;  // keys point into `keys`
    std::vector<Key> keys;
  };

  [[nodiscard]] Status CheckSender(const Sender& sender) const;
  [[nodiscard]] Status TryPush(const Sender& sender, const PushRequest& push,
                               const WantedRows& wanted);
  [[nodiscard]] Status CheckWanted(const WantedRows& wanted) const;
  [[nodiscard]] Result<std::size_t> CountValues(std::span<const PullKeys> pull) const;
  void AnswerRows(const WantedRows& wanted, Reply& reply);
  [[nodiscard]] Status ReadIntoRoom(std::span<const PullKeys> pull, Reply& reply);
  static void Park(RankState& state, const WantedRows& wanted, std::unique_ptr<Reply> reply);
  void AnswerParked();
  void RefuseParked(const Status& status);
  [[nodiscard]] Status OverStatus(std::uint64_t epoch) const;

  std::filesystem::path checkpoint_root_;
  std::string job_;
  std::uint64_t epoch_ = 0;
  Status refusal_;  // of the current epoch, once it is broken or over
  std::optional<Shard> shard_;
  std::unique_ptr<SnapshotWriter> snapshot_writer_;  // of earlier epochs, while there is no shard
  SnapshotPlaceCheck place_check_;
  std::vector<RankState> ranks_;
  std::vector<RowsToPull> rows_;  // of the answer being made
  std::uint64_t pushed_rows_ = 0;
  std::uint64_t pulled_rows_ = 0;
};

}  // namespace dcn::ps
