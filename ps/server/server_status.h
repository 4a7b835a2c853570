// What a server counts and says about itself, and the text of its answer to a status query.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/net/frame.h"
#include "ps/server/shard_desk.h"

namespace dcn::ps {

/// Why a server closed a connection or turned it away.
enum class Refusal : std::uint8_t {
  // The bytes are no frame: as net::FrameFault.
  kMagic,
  kHeaderChecksum,
  kVersion,
  kBodyTooLong,
  kBodyChecksum,
  // The frame is intact.
  kMessage,         // makes no sense
  kUnexpectedType,  // does not belong here
  kNoHello,         // no hello in time, or another message first
  kToken,           // is missing or wrong
  kJob,             // busy, an epoch that is over, ranks that do not fit
  kSlowReader,      // does not take its answers
  kSilent,          // a rank whose heartbeats do not come
};
inline constexpr std::size_t kRefusals = 12;

[[nodiscard]] Refusal ToRefusal(net::FrameFault fault);

/// Since the server's start. Requests of workers (without their heartbeats) and bytes of all
/// connections; ranks in the server's own process have none.
struct ServerCounters {
  std::uint64_t connections_accepted = 0;
  std::uint64_t connections_open = 0;
  std::uint64_t requests = 0;
  std::uint64_t failures = 0;  // requests answered with a failure
  std::uint64_t bytes_received = 0;
  std::uint64_t bytes_sent = 0;
  std::array<std::uint64_t, kRefusals> refused{};
};

struct ServerStatus {
  // A rank from which nothing has come for more than two heartbeats' time.
  struct QuietRank {
    std::uint32_t rank = 0;
    double seconds = 0;
  };

  std::string address;
  std::uint64_t incarnation = 0;
  double uptime_seconds = 0;
  std::string job;  // the one that is held, else the last one; empty: none so far
  std::uint64_t epoch = 0;
  std::uint32_t ranks = 0;
  std::size_t connected = 0;
  std::size_t ended = 0;
  bool is_held = false;
  std::string broken;            // why the epoch is broken; empty: it is not
  std::vector<QuietRank> quiet;  // at most 16, the longest silence first
  ServerCounters counters;
  std::vector<ShardCounts> shards;
};

/// One JSON object: "address", "incarnation" (hex text), "uptime_seconds", "job" {"name", "epoch",
/// "ranks", "connected", "ended", "state": "none", "running", "broken" or "ended", "broken",
/// "quiet" [{"rank", "seconds"}]},
/// "connections" {"accepted", "open"}, "requests", "failures", "bytes_received", "bytes_sent",
/// "refused" {reason: count}, "tables" [{"name", "rows", "bytes"}], "shards" [{"step", "rows",
/// "bytes", "pushed_rows", "pulled_rows", "waiting"}], "skew" {"rows", "pulled_rows"}: the largest
/// shard's share in units of the mean, 1 is even, 0 where there is nothing.
[[nodiscard]] std::string ToJsonText(const ServerStatus& status);

/// The reason's name in that text.
[[nodiscard]] std::string_view RefusalName(Refusal refusal);

}  // namespace dcn::ps
