#include "ps/server/hosted_rank.h"

#include <utility>

#include "common/check.h"
#include "ps/server/hosted_shard.h"

namespace dcn::ps {
namespace {

// A request takes a shard milliseconds, a large table's some seconds.
constexpr std::chrono::seconds kStuckAfter{60};

}  // namespace

HostedRank::HostedRank(Sender sender, std::vector<ShardThread*> shards, Hooks hooks)
    : sender_(sender), shards_(std::move(shards)), hooks_(std::move(hooks)) {}

HostedRank::~HostedRank() { hooks_.disconnect(); }

std::unique_ptr<ShardClient> HostedRank::MakeShard(std::uint32_t shard,
                                                   std::chrono::milliseconds timeout) {
  DCN_CHECK_LT(shard, shards_.size());
  return std::make_unique<HostedShard>(*shards_[shard], shard, sender_, timeout, kStuckAfter);
}

Status HostedRank::EndJob(TimePoint deadline) { return hooks_.end(deadline); }

}  // namespace dcn::ps
