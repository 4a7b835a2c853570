// The way of a request from its connection to its shard: decodes it and posts it to the shard's
// thread, with the way back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/status.h"
#include "ps/message.h"
#include "ps/server/server_session.h"
#include "ps/server/shard_thread.h"

namespace dcn::ps {

/// Thread safety: none; confined to the server's I/O thread.
class RequestPoster {
 public:
  /// shards: outlive this object.
  explicit RequestPoster(std::vector<std::unique_ptr<ShardThread>>& shards) : shards_(shards) {}

  /// Posts the request `id` of `session`; it is answered there, also where there is no such shard.
  /// kOutOfRange: requests of that type go to no shard. Else an error: the message makes no sense.
  [[nodiscard]] Status Post(ServerSession& session, MessageType type, std::uint64_t id,
                            std::shared_ptr<Body> body);

 private:
  // The shard of that number; null: there is none, and the request was answered so.
  [[nodiscard]] ShardThread* FindShard(ServerSession& session, std::uint64_t id,
                                       std::uint32_t shard);
  // Decodes a message and has use(desk, sender, message, reply) called on its shard's thread, the
  // body that the message points into being kept until then.
  template <typename Message, typename Use>
  [[nodiscard]] Status PostMessage(ServerSession& session, std::uint64_t id,
                                   std::shared_ptr<Body>&& body,
                                   Status (*decode)(std::span<const std::byte>, Message&),
                                   MessageType good, Use use);

  std::vector<std::unique_ptr<ShardThread>>& shards_;
};

}  // namespace dcn::ps
