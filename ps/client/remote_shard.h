// A shard of a server, seen as any other: requests go out as messages, answers come back as rows.
//
// The trainer's thread encodes; the I/O thread (server_connection.h) sends, waits, and writes the
// rows of the answer to where the trainer wants them.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>

#include "common/status.h"
#include "ps/body_pool.h"
#include "ps/client/answer_box.h"
#include "ps/client/request_sender.h"
#include "ps/shard_client.h"

namespace dcn::ps {

/// One rank's way to one shard. Made by JobConnection.
/// Errors beyond those of ShardClient, each of which names server, shard and request:
/// kUnavailable: the server is gone, was restarted, gives an answer that makes no sense, or the
/// epoch is broken. kDeadlineExceeded. kInvalidArgument: a request or an answer that no message
/// holds.
class RemoteShard final : public ShardClient {
 public:
  /// sender: outlives this object. server: "HOST:PORT", for errors. shard: its number within the
  /// server. timeout: of each request.
  RemoteShard(RequestSender& sender, std::string server, std::uint32_t shard,
              std::chrono::milliseconds timeout);
  /// Gives up a request that was started and not finished: its memory is not touched any more.
  ~RemoteShard() override = default;

  [[nodiscard]] Status CreateTables(std::span<const TableDefinition> tables) override;
  void StartPushPull(const PushRequest& push, std::span<const RowsToPull> pull) override;
  void StartPull(std::span<const RowsToPull> pull) override;
  [[nodiscard]] Status Finish() override;
  [[nodiscard]] std::chrono::steady_clock::time_point answered_at() const override {
    return box_.answered_at();
  }
  [[nodiscard]] StepFlags step_flags() const override { return step_flags_; }
  [[nodiscard]] Status Assign(TableId table, std::span<const Key> keys,
                              std::span<const float> values) override;
  [[nodiscard]] Status OpenSnapshots(const SnapshotPlace& place) override;
  [[nodiscard]] Result<SnapshotReport> QuerySnapshot(Step step) override;
  [[nodiscard]] Status BeginRestore(Step step, std::span<const float> step_sizes) override;
  [[nodiscard]] Status RestoreRows(const RowsToRestore& rows) override;

  /// Messages whose memory waits to be used again.
  [[nodiscard]] std::size_t idle_bodies() const { return bodies_.size(); }

 private:
  // What is being asked for, in words and as a message.
  struct Draft {
    MessageType type;
    MessageType answer;
    std::string name;  // "push-pull of step 7"
    Status status;     // an error: there is no message
    std::shared_ptr<Body> body;
  };
  void Start(Draft draft, AnswerBox::Taker take);
  [[nodiscard]] AnswerBox::Taker TakeRows(std::span<const RowsToPull> pull,
                                          const std::string& name);
  // A request whose body `encode` fills, and its answer.
  template <typename Encode>
  [[nodiscard]] Status Ask(MessageType type, std::string name, const Status& status, Encode encode);
  [[nodiscard]] Status Refusal(const std::string& name, const Status& status) const;
  // A server that answers so is of no use: lost, not an input of the user's that is bad.
  [[nodiscard]] Status Nonsense(const std::string& name, const Status& status) const;

  RequestSender& sender_;
  const std::string server_;
  const std::uint32_t shard_;
  const std::chrono::milliseconds timeout_;
  BodyPool bodies_;
  bool is_started_ = false;
  StepFlags step_flags_ = 0;  // of the last answer with rows
  Status unsent_;             // of the started request: why it was not sent
  AnswerBox::TimePoint deadline_;
  AnswerBox box_;
};

}  // namespace dcn::ps
