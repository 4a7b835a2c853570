#include "ps/message.h"

#include <algorithm>

#include <fmt/core.h>

#include "ps/partition.h"

namespace dcn::ps {

static_assert(kMaxShards == kVirtualBuckets);

std::string MessageTypeName(std::uint16_t type) {
  switch (static_cast<MessageType>(type)) {
    case MessageType::kHello:
      return "hello";
    case MessageType::kWelcome:
      return "welcome";
    case MessageType::kCreateTables:
      return "create-tables";
    case MessageType::kDone:
      return "done";
    case MessageType::kPushPull:
      return "push-pull";
    case MessageType::kRows:
      return "rows";
    case MessageType::kPull:
      return "pull";
    case MessageType::kAssign:
      return "assign";
    case MessageType::kEndJob:
      return "end-job";
    case MessageType::kPing:
      return "ping";
    case MessageType::kPong:
      return "pong";
    case MessageType::kQueryStatus:
      return "query-status";
    case MessageType::kStatus:
      return "status";
    case MessageType::kFailure:
      return "failure";
    case MessageType::kOpenSnapshots:
      return "open-snapshots";
    case MessageType::kQuerySnapshot:
      return "query-snapshot";
    case MessageType::kSnapshot:
      return "snapshot";
    case MessageType::kBeginRestore:
      return "begin-restore";
    case MessageType::kRestoreRows:
      return "restore-rows";
  }
  return fmt::format("type {}", type);
}

Status CheckJobName(std::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes) {
    return Error(StatusCode::kInvalidArgument, "a name of {} bytes, must have 1 to {}", name.size(),
                 kMaxNameBytes);
  }
  const auto is_control = [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; };
  const auto control = std::ranges::find_if(name, is_control);
  if (control == name.end()) return Status();
  return Error(StatusCode::kInvalidArgument, "a name with the control character {:#04x} at byte {}",
               static_cast<int>(*control), control - name.begin());
}

Status CheckLimits(std::span<const TableDefinition> tables) {
  if (tables.size() > kMaxTables) {
    return Error(StatusCode::kInvalidArgument, "{} tables, at most {} are allowed", tables.size(),
                 kMaxTables);
  }
  for (const TableDefinition& table : tables) {
    if (table.name.size() <= kMaxNameBytes) continue;
    return Error(StatusCode::kInvalidArgument,
                 "table '{}…': a name of {} bytes, at most {} are allowed",
                 table.name.substr(0, 32), table.name.size(), kMaxNameBytes);
  }
  return Status();
}

Status CheckLimits(const SnapshotPlace& place) {
  if (place.nonce.size() > kMaxNameBytes) {
    return Error(StatusCode::kInvalidArgument,
                 "a snapshot's place has a nonce of {} bytes, at most {} are allowed",
                 place.nonce.size(), kMaxNameBytes);
  }
  if (place.folder.size() > kMaxPathBytes) {
    return Error(StatusCode::kInvalidArgument,
                 "the folder for checkpoints has a path of {} bytes, at most {} are allowed",
                 place.folder.size(), kMaxPathBytes);
  }
  return Status();
}

Status CheckLimits(std::span<const RowsToPull> pull) {
  std::size_t values = 0;
  for (const RowsToPull& rows : pull) values += rows.values.size();
  if (pull.size() <= kMaxTables && values <= kMaxPulledValues) return Status();
  return Error(StatusCode::kInvalidArgument,
               "a pull of {} values from {} tables, at most {} from {} are allowed at once", values,
               pull.size(), kMaxPulledValues, kMaxTables);
}

}  // namespace dcn::ps
