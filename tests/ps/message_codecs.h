// Every kind of message with the way back and forth: bytes -> message -> bytes. For tests that feed
// bytes of any kind to all decoders.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "ps/message.h"

namespace dcn::ps::testing {

/// One kind of message.
struct MessageCodec {
  std::string_view name;  // as errors of its decoder say it
  /// Decodes `body` and encodes what it says into `again`.
  Status (*recode)(std::span<const std::byte> body, Body& again);
  bool ignores_rest = false;  // of a body that is too long
};

namespace internal {

template <auto decode>
Status Recode(std::span<const std::byte> body, Body& again) {
  DCN_ASSIGN_OR_RETURN(const auto message, decode(body));
  Encode(message, again);
  return Status();
}

/// The pull that asks for `keys`. The encoders look at the sizes of `values` only, so there is no
/// memory behind them.
inline std::vector<RowsToPull> ToPull(std::span<const PullKeys> keys) {
  static float no_value = 0;
  std::vector<RowsToPull> pull;
  for (const PullKeys& rows : keys) {
    pull.push_back({.table = rows.table,
                    .keys = rows.keys,
                    .values = {&no_value, rows.keys.size() * rows.dimension}});
  }
  return pull;
}

inline Status RecodeCreateTables(std::span<const std::byte> body, Body& again) {
  CreateTablesMessage message;
  DCN_RETURN_IF_ERROR(DecodeCreateTables(body, message));
  EncodeCreateTables(message.shard, message.tables, again);
  return Status();
}

inline Status RecodePushPull(std::span<const std::byte> body, Body& again) {
  PushPullMessage message;
  DCN_RETURN_IF_ERROR(DecodePushPull(body, message));
  EncodePushPull(message.shard, message.push, ToPull(message.pull), again);
  return Status();
}

inline Status RecodePull(std::span<const std::byte> body, Body& again) {
  PullMessage message;
  DCN_RETURN_IF_ERROR(DecodePull(body, message));
  EncodePull(message.shard, ToPull(message.pull), again);
  return Status();
}

inline Status RecodeAssign(std::span<const std::byte> body, Body& again) {
  AssignMessage message;
  DCN_RETURN_IF_ERROR(DecodeAssign(body, message));
  EncodeAssign(message.shard, message.table, message.keys, message.values, again);
  return Status();
}

inline Status RecodeRows(std::span<const std::byte> body, Body& again) {
  DCN_ASSIGN_OR_RETURN(const RowsMessage message, DecodeRows(body));
  const auto values = EncodeRows(message.step, message.values.size(), again, message.flags);
  // Bytes, not floats: signalling NaNs stay what they are.
  const auto from = std::as_bytes(message.values);
  std::copy(from.begin(), from.end(), std::as_writable_bytes(values).begin());
  return Status();
}

inline Status RecodeOpenSnapshots(std::span<const std::byte> body, Body& again) {
  OpenSnapshotsMessage message;
  DCN_RETURN_IF_ERROR(DecodeOpenSnapshots(body, message));
  EncodeOpenSnapshots(message.shard, message.place, again);
  return Status();
}

inline Status RecodeQuerySnapshot(std::span<const std::byte> body, Body& again) {
  QuerySnapshotMessage message;
  DCN_RETURN_IF_ERROR(DecodeQuerySnapshot(body, message));
  EncodeQuerySnapshot(message.shard, message.step, again);
  return Status();
}

inline Status RecodeBeginRestore(std::span<const std::byte> body, Body& again) {
  BeginRestoreMessage message;
  DCN_RETURN_IF_ERROR(DecodeBeginRestore(body, message));
  EncodeBeginRestore(message.shard, message.step, message.step_sizes, again);
  return Status();
}

inline Status RecodeRestoreRows(std::span<const std::byte> body, Body& again) {
  RestoreRowsMessage message;
  DCN_RETURN_IF_ERROR(DecodeRestoreRows(body, message));
  EncodeRestoreRows(message.shard, message.rows, again);
  return Status();
}

inline Status RecodeText(std::span<const std::byte> body, Body& again) {
  DCN_ASSIGN_OR_RETURN(const std::string_view text, DecodeText(body));
  EncodeText(text, again);
  return Status();
}

inline Status RecodeEmpty(std::span<const std::byte> body, Body& again) {
  again.clear();
  return DecodeEmpty(MessageType::kPing, body);
}

}  // namespace internal

inline constexpr std::array<MessageCodec, 15> kMessageCodecs = {{
    {"hello", internal::Recode<DecodeHello>, true},
    {"welcome", internal::Recode<DecodeWelcome>, true},
    {"failure", internal::Recode<DecodeFailure>},
    {"create-tables", internal::RecodeCreateTables},
    {"push-pull", internal::RecodePushPull},
    {"pull", internal::RecodePull},
    {"assign", internal::RecodeAssign},
    {"rows", internal::RecodeRows},
    {"open-snapshots", internal::RecodeOpenSnapshots},
    {"query-snapshot", internal::RecodeQuerySnapshot},
    {"snapshot", internal::Recode<DecodeSnapshot>},
    {"begin-restore", internal::RecodeBeginRestore},
    {"restore-rows", internal::RecodeRestoreRows},
    {"status", internal::RecodeText},
    {"ping", internal::RecodeEmpty},
}};

/// What a decoder did wrong with `body`; empty: it gave a message that encodes to these bytes, or a
/// kDataLoss that names the message. body.data() must be a multiple of 8.
inline std::string_view FindFault(const MessageCodec& codec, std::span<const std::byte> body) {
  Body again;
  const Status status = codec.recode(body, again);
  if (!status.ok()) {
    if (status.code() != StatusCode::kDataLoss) return "an error of another code";
    if (!status.message().starts_with(codec.name)) return "an error without the message's name";
    return "";
  }
  if (again.size() > body.size()) return "a message that is longer than its bytes";
  if (!std::equal(again.begin(), again.end(), body.begin())) return "a message of other bytes";
  if (again.size() < body.size() && !codec.ignores_rest) return "bytes that were not read";
  return "";
}

}  // namespace dcn::ps::testing
