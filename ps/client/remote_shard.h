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
#include "ps/client/answer_box.h"
#include "ps/client/body_pool.h"
#include "ps/client/request_sender.h"
#include "ps/shard_client.h"

namespace dcn::ps {

/// One rank's way to one shard. Made by JobConnection.
/// Errors beyond those of ShardClient, each of which names server, shard and request:
/// kUnavailable: the server is gone, was restarted, or the epoch is broken. kDeadlineExceeded.
/// kInvalidArgument: a request or an answer that no message holds. kDataLoss: an answer that makes
/// no sense.
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
  [[nodiscard]] Status Assign(TableId table, std::span<const Key> keys,
                              std::span<const float> values) override;

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
                                          const std::string& name) const;
  [[nodiscard]] Status Refusal(const std::string& name, const Status& status) const;

  RequestSender& sender_;
  const std::string server_;
  const std::uint32_t shard_;
  const std::chrono::milliseconds timeout_;
  BodyPool bodies_;
  bool is_started_ = false;
  Status unsent_;  // of the started request: why it was not sent
  AnswerBox::TimePoint deadline_;
  AnswerBox box_;
};

}  // namespace dcn::ps
