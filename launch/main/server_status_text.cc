#include "launch/main/server_status_text.h"

#include <cstdint>
#include <iterator>
#include <string_view>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "common/file/json.h"
#include "common/net/blocking_connection.h"
#include "ps/message.h"

namespace dcn::launch {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

// For who asks a lost server, not an input that is bad.
Status NotAServer(const net::Address& address, std::string_view what) {
  return Error(StatusCode::kUnavailable,
               "{}: what answers is no parameter server of this version: {}", address.ToString(),
               what);
}

// One connection to the server, which answers a request at a time.
class StatusClient {
 public:
  static Result<StatusClient> Connect(const net::Address& address, const std::string& token,
                                      Clock::time_point deadline) {
    DCN_ASSIGN_OR_RETURN(net::BlockingConnection connection,
                         net::BlockingConnection::Connect(address, deadline));
    StatusClient client(address, std::move(connection));
    ps::Body hello;
    ps::Encode(
        ps::Hello{.role = ps::Role::kObserver, .rank = 0, .ranks = 1, .job = {}, .token = token},
        hello);
    DCN_RETURN_IF_ERROR(
        client.Ask(ps::MessageType::kHello, hello, ps::MessageType::kWelcome, deadline).status());
    return client;
  }

  Result<json> Query(Clock::time_point deadline) {
    DCN_ASSIGN_OR_RETURN(const ps::Body body, Ask(ps::MessageType::kQueryStatus, {},
                                                  ps::MessageType::kStatus, deadline));
    const Result<std::string_view> text = ps::DecodeText(body);
    if (!text.ok()) return NotAServer(address_, text.status().message());
    Result<json> status = ParseJson(*text, "status");
    if (!status.ok()) return NotAServer(address_, status.status().message());
    return status;
  }

 private:
  StatusClient(net::Address address, net::BlockingConnection connection)
      : address_(std::move(address)), connection_(std::move(connection)) {}

  Result<ps::Body> Ask(ps::MessageType type, const ps::Body& body, ps::MessageType wanted,
                       Clock::time_point deadline) {
    DCN_RETURN_IF_ERROR(connection_.SendFrame(
        {.type = static_cast<std::uint16_t>(type), .request_id = ++last_id_}, body, deadline));
    DCN_ASSIGN_OR_RETURN(net::BlockingConnection::Frame answer,
                         connection_.ReceiveFrame(2 * ps::kMaxTextBytes, deadline));
    const auto answer_type = static_cast<ps::MessageType>(answer.header.type);
    if (answer_type == wanted) return std::move(answer.body);
    if (answer_type != ps::MessageType::kFailure) {
      return NotAServer(address_, fmt::format("answers {} with {}",
                                              ps::MessageTypeName(static_cast<std::uint16_t>(type)),
                                              ps::MessageTypeName(answer.header.type)));
    }
    const Result<ps::Failure> failure = ps::DecodeFailure(answer.body);
    if (!failure.ok()) return NotAServer(address_, failure.status().message());
    return Error(failure->code, "{}: {}", address_.ToString(), failure->text);
  }

  net::Address address_;
  net::BlockingConnection connection_;
  std::uint64_t last_id_ = 0;
};

std::string BytesText(double bytes) {
  if (bytes < 1e4) return fmt::format("{:.0f} B", bytes);
  if (bytes < 1e7) return fmt::format("{:.1f} kB", bytes / 1e3);
  if (bytes < 1e10) return fmt::format("{:.1f} MB", bytes / 1e6);
  return fmt::format("{:.1f} GB", bytes / 1e9);
}

std::string JobText(const json& job) {
  const auto state = job.at("state").get<std::string>();
  if (state == "none") return "none so far";
  std::string text = fmt::format(
      "{} ({}), epoch {}, {} of {} ranks connected, {} through", job.at("name").get<std::string>(),
      state, job.at("epoch").get<std::uint64_t>(), job.at("connected").get<std::uint64_t>(),
      job.at("ranks").get<std::uint64_t>(), job.at("ended").get<std::uint64_t>());
  const auto broken = job.at("broken").get<std::string>();
  if (!broken.empty()) text += fmt::format("\n           {}", broken);
  for (const json& rank : job.at("quiet")) {
    text += fmt::format("\n           rank {} has been silent for {:.1f} s",
                        rank.at("rank").get<std::uint64_t>(), rank.at("seconds").get<double>());
  }
  return text;
}

// Reasons that occurred, with their counts.
std::string RefusedText(const json& refused) {
  std::string text;
  for (const auto& [reason, count] : refused.items()) {
    if (count.get<std::uint64_t>() == 0) continue;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", reason, count.get<std::uint64_t>());
  }
  return text.empty() ? "none" : text;
}

double Rate(const json& before, const json& after, const char* field) {
  const double seconds =
      after.at("uptime_seconds").get<double>() - before.at("uptime_seconds").get<double>();
  const auto first = before.at(field).get<double>();
  const auto last = after.at(field).get<double>();
  return seconds > 0 ? (last - first) / seconds : 0;
}

void AppendTables(const json& tables, std::string& text) {
  if (tables.empty()) return;
  fmt::format_to(std::back_inserter(text), "\n{:>12} {:>12}  table\n", "rows", "memory");
  for (const json& table : tables) {
    fmt::format_to(std::back_inserter(text), "{:>12} {:>12}  {}\n",
                   table.at("rows").get<std::uint64_t>(),
                   BytesText(table.at("bytes").get<double>()), table.at("name").get<std::string>());
  }
}

void AppendShards(const json& shards, std::string& text) {
  fmt::format_to(std::back_inserter(text), "\n{:>5} {:>9} {:>12} {:>12} {:>13} {:>13} {:>8}\n",
                 "shard", "step", "rows", "memory", "rows pushed", "rows pulled", "waiting");
  std::size_t number = 0;
  for (const json& shard : shards) {
    fmt::format_to(
        std::back_inserter(text), "{:>5} {:>9} {:>12} {:>12} {:>13} {:>13} {:>8}\n", number++,
        shard.at("step").get<std::uint64_t>(), shard.at("rows").get<std::uint64_t>(),
        BytesText(shard.at("bytes").get<double>()), shard.at("pushed_rows").get<std::uint64_t>(),
        shard.at("pulled_rows").get<std::uint64_t>(), shard.at("waiting").get<std::uint64_t>());
  }
}

std::string SkewText(const json& skew) {
  const auto rows = skew.at("rows").get<double>();
  if (rows == 0) return "no rows yet";
  return fmt::format("largest shard / mean: {:.2f} in rows, {:.2f} in rows pulled", rows,
                     skew.at("pulled_rows").get<double>());
}

std::string MakeText(const json& before, const json& after) {
  std::string text;
  const auto line = [&text](const char* name, const std::string& value) {
    fmt::format_to(std::back_inserter(text), "{:<10} {}\n", name, value);
  };
  line("server",
       fmt::format("{}, up {:.0f} s, incarnation {}", after.at("address").get<std::string>(),
                   after.at("uptime_seconds").get<double>(),
                   after.at("incarnation").get<std::string>()));
  line("job", JobText(after.at("job")));
  line("requests",
       fmt::format("{} ({:.1f}/s), {} failed", after.at("requests").get<std::uint64_t>(),
                   Rate(before, after, "requests"), after.at("failures").get<std::uint64_t>()));
  line("received", fmt::format("{} ({}/s)", BytesText(after.at("bytes_received").get<double>()),
                               BytesText(Rate(before, after, "bytes_received"))));
  line("sent", fmt::format("{} ({}/s)", BytesText(after.at("bytes_sent").get<double>()),
                           BytesText(Rate(before, after, "bytes_sent"))));
  const json& connections = after.at("connections");
  line("clients",
       fmt::format("{} connected, {} so far", connections.at("open").get<std::uint64_t>(),
                   connections.at("accepted").get<std::uint64_t>()));
  line("refused", RefusedText(after.at("refused")));
  line("skew", SkewText(after.at("skew")));
  AppendTables(after.at("tables"), text);
  AppendShards(after.at("shards"), text);
  return text;
}

}  // namespace

Result<std::string> StatusText(const json& before, const json& after) {
  try {
    return MakeText(before, after);
  } catch (const json::exception& error) {
    return Error(StatusCode::kDataLoss, "status: {}", error.what());
  }
}

Result<std::string> QueryStatusText(const net::Address& address, const std::string& token,
                                    std::chrono::milliseconds interval,
                                    std::chrono::milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  DCN_ASSIGN_OR_RETURN(StatusClient client, StatusClient::Connect(address, token, deadline));
  DCN_ASSIGN_OR_RETURN(const json before, client.Query(deadline));
  std::this_thread::sleep_for(interval);
  DCN_ASSIGN_OR_RETURN(const json after, client.Query(deadline + interval));
  Result<std::string> text = StatusText(before, after);
  if (!text.ok()) return NotAServer(address, text.status().message());
  return text;
}

}  // namespace dcn::launch
