#include "ps/server/request_poster.h"

#include <utility>

namespace dcn::ps {

template <typename Message, typename Use>
Status RequestPoster::PostMessage(ServerSession& session, std::uint64_t id,
                                  std::shared_ptr<Body>&& body,
                                  Status (*decode)(std::span<const std::byte>, Message&),
                                  MessageType good, Use use) {
  struct Request {
    std::shared_ptr<Body> body;
    Message message;  // points into body
  };
  auto request = std::make_unique<Request>();
  request->body = std::move(body);
  DCN_RETURN_IF_ERROR(decode(*request->body, request->message));
  ShardThread* const shard = FindShard(session, id, request->message.shard);
  if (shard == nullptr) return Status();
  shard->Post(
      [sender = session.sender(), request = std::move(request), reply = session.MakeReply(id, good),
       use](ShardDesk& desk) mutable { use(desk, sender, request->message, std::move(reply)); });
  return Status();
}

Status RequestPoster::Post(ServerSession& session, MessageType type, std::uint64_t id,
                           std::shared_ptr<Body> body) {
  using Way = std::unique_ptr<Reply>;
  const auto post = [&](auto decode, MessageType good, auto use) {
    return PostMessage(session, id, std::move(body), decode, good, use);
  };
  switch (type) {
    case MessageType::kCreateTables:
      return post(DecodeCreateTables, MessageType::kDone,
                  [](ShardDesk& desk, const Sender& sender, const CreateTablesMessage& message,
                     const Way& reply) { desk.CreateTables(sender, message.tables, *reply); });
    case MessageType::kPushPull:
      return post(
          DecodePushPull, MessageType::kRows,
          [](ShardDesk& desk, const Sender& sender, const PushPullMessage& message, Way reply) {
            desk.PushPull(sender, message.push, std::span<const PullKeys>(message.pull),
                          std::move(reply));
          });
    case MessageType::kPull:
      return post(
          DecodePull, MessageType::kRows,
          [](ShardDesk& desk, const Sender& sender, const PullMessage& message, const Way& reply) {
            desk.Pull(sender, std::span<const PullKeys>(message.pull), *reply);
          });
    case MessageType::kAssign:
      return post(DecodeAssign, MessageType::kDone,
                  [](ShardDesk& desk, const Sender& sender, const AssignMessage& message,
                     const Way& reply) {
                    desk.Assign(sender, message.table, message.keys, message.values, *reply);
                  });
    case MessageType::kOpenSnapshots:
      return post(DecodeOpenSnapshots, MessageType::kDone,
                  [](ShardDesk& desk, const Sender& sender, const OpenSnapshotsMessage& message,
                     const Way& reply) { desk.OpenSnapshots(sender, message.place, *reply); });
    case MessageType::kQuerySnapshot:
      return post(DecodeQuerySnapshot, MessageType::kSnapshot,
                  [](ShardDesk& desk, const Sender& sender, const QuerySnapshotMessage& message,
                     const Way& reply) { desk.QuerySnapshot(sender, message.step, *reply); });
    case MessageType::kBeginRestore:
      return post(DecodeBeginRestore, MessageType::kDone,
                  [](ShardDesk& desk, const Sender& sender, const BeginRestoreMessage& message,
                     const Way& reply) {
                    desk.BeginRestore(sender, message.step, message.step_sizes, *reply);
                  });
    case MessageType::kRestoreRows:
      return post(DecodeRestoreRows, MessageType::kDone,
                  [](ShardDesk& desk, const Sender& sender, const RestoreRowsMessage& message,
                     const Way& reply) { desk.RestoreRows(sender, message.rows, *reply); });
    default:
      return Error(StatusCode::kOutOfRange, "{}",
                   MessageTypeName(static_cast<std::uint16_t>(type)));
  }
}

ShardThread* RequestPoster::FindShard(ServerSession& session, std::uint64_t id,
                                      std::uint32_t shard) {
  if (shard < shards_.size()) return shards_[shard].get();
  session.AnswerFailure(
      id, Error(StatusCode::kOutOfRange, "shard {} does not exist: this server has {}", shard,
                shards_.size()));
  return nullptr;
}

}  // namespace dcn::ps
