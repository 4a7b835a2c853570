#include "ps/server/server_status.h"

#include <algorithm>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

namespace dcn::ps {
namespace {

using nlohmann::json;

std::uint64_t Rows(const ShardCounts& shard) {
  std::uint64_t rows = 0;
  for (const ShardCounts::Table& table : shard.tables) rows += table.rows;
  return rows;
}

std::uint64_t Bytes(const ShardCounts& shard) {
  std::uint64_t bytes = 0;
  for (const ShardCounts::Table& table : shard.tables) bytes += table.bytes;
  return bytes;
}

template <typename Count>
double Skew(const std::vector<ShardCounts>& shards, Count count) {
  std::uint64_t largest = 0;
  std::uint64_t sum = 0;
  for (const ShardCounts& shard : shards) {
    largest = std::max<std::uint64_t>(largest, count(shard));
    sum += count(shard);
  }
  if (sum == 0) return 0;
  return static_cast<double>(largest) * static_cast<double>(shards.size()) /
         static_cast<double>(sum);
}

json ShardJson(const ShardCounts& shard) {
  return {{"step", shard.step},
          {"rows", Rows(shard)},
          {"bytes", Bytes(shard)},
          {"pushed_rows", shard.pushed_rows},
          {"pulled_rows", shard.pulled_rows},
          {"waiting", shard.waiting}};
}

// Over all shards, which have the same tables once the job has created them everywhere.
json TablesJson(const std::vector<ShardCounts>& shards) {
  std::vector<ShardCounts::Table> sums;
  for (const ShardCounts& shard : shards) {
    if (sums.size() < shard.tables.size()) sums.resize(shard.tables.size());
    for (std::size_t i = 0; i < shard.tables.size(); ++i) {
      sums[i].name = shard.tables[i].name;
      sums[i].rows += shard.tables[i].rows;
      sums[i].bytes += shard.tables[i].bytes;
    }
  }
  json tables = json::array();
  for (const ShardCounts::Table& table : sums) {
    tables.push_back({{"name", table.name}, {"rows", table.rows}, {"bytes", table.bytes}});
  }
  return tables;
}

std::string_view StateName(const ServerStatus& status) {
  if (status.job.empty()) return "none";
  if (!status.is_held) return "ended";
  return status.broken.empty() ? "running" : "broken";
}

json QuietJson(const std::vector<ServerStatus::QuietRank>& ranks) {
  json quiet = json::array();
  for (const ServerStatus::QuietRank& rank : ranks) {
    quiet.push_back({{"rank", rank.rank}, {"seconds", rank.seconds}});
  }
  return quiet;
}

json RefusedJson(const ServerCounters& counters) {
  json refused = json::object();
  for (std::size_t i = 0; i < kRefusals; ++i) {
    refused[std::string(RefusalName(static_cast<Refusal>(i)))] = counters.refused[i];
  }
  return refused;
}

}  // namespace

Refusal ToRefusal(net::FrameFault fault) {
  switch (fault) {
    case net::FrameFault::kMagic:
      return Refusal::kMagic;
    case net::FrameFault::kHeaderChecksum:
      return Refusal::kHeaderChecksum;
    case net::FrameFault::kVersion:
      return Refusal::kVersion;
    case net::FrameFault::kBodyTooLong:
      return Refusal::kBodyTooLong;
    case net::FrameFault::kBodyChecksum:
      break;
  }
  return Refusal::kBodyChecksum;
}

std::string_view RefusalName(Refusal refusal) {
  switch (refusal) {
    case Refusal::kMagic:
      return "magic";
    case Refusal::kHeaderChecksum:
      return "header_checksum";
    case Refusal::kVersion:
      return "version";
    case Refusal::kBodyTooLong:
      return "body_too_long";
    case Refusal::kBodyChecksum:
      return "body_checksum";
    case Refusal::kMessage:
      return "message";
    case Refusal::kUnexpectedType:
      return "unexpected_type";
    case Refusal::kNoHello:
      return "no_hello";
    case Refusal::kToken:
      return "token";
    case Refusal::kJob:
      return "job";
    case Refusal::kSlowReader:
      return "slow_reader";
    case Refusal::kSilent:
      return "silent";
  }
  return "unknown";
}

std::string ToJsonText(const ServerStatus& status) {
  const ServerCounters& counters = status.counters;
  json shards = json::array();
  for (const ShardCounts& shard : status.shards) shards.push_back(ShardJson(shard));
  const json text = {
      {"address", status.address},
      {"incarnation", fmt::format("{:016x}", status.incarnation)},
      {"uptime_seconds", status.uptime_seconds},
      {"job",
       {{"name", status.job},
        {"epoch", status.epoch},
        {"ranks", status.ranks},
        {"connected", status.connected},
        {"ended", status.ended},
        {"state", StateName(status)},
        {"broken", status.broken},
        {"quiet", QuietJson(status.quiet)}}},
      {"connections",
       {{"accepted", counters.connections_accepted}, {"open", counters.connections_open}}},
      {"requests", counters.requests},
      {"failures", counters.failures},
      {"bytes_received", counters.bytes_received},
      {"bytes_sent", counters.bytes_sent},
      {"refused", RefusedJson(counters)},
      {"tables", TablesJson(status.shards)},
      {"shards", std::move(shards)},
      {"skew",
       {{"rows", Skew(status.shards, Rows)},
        {"pulled_rows",
         Skew(status.shards, [](const ShardCounts& shard) { return shard.pulled_rows; })}}}};
  // Names are checked nowhere for being UTF-8: what is not is replaced.
  return text.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace dcn::ps
