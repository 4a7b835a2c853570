// The messages between trainers and servers, and their bytes: what stands in the frames
// (common/net/frame.h) of the wire protocol. PROTOCOL.md tells the whole exchange.
//
// A codec only, without sockets. Encoders fill a body; decoders take nothing for granted: every
// count is checked against the bytes that are there before it is used, and spans of a decoded
// message point into the body, which must outlive it and start at an address that is a multiple of
// 8 (arrays are padded to that). Each message has one encoding; nothing else decodes to it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/byte_buffer.h"
#include "common/status.h"
#include "ps/protocol.h"

namespace dcn::ps {

/// The type field of a frame. Requests are odd, answers even.
enum class MessageType : std::uint16_t {
  kHello = 1,  // -> kWelcome: the first message of a connection
  kWelcome = 2,
  kCreateTables = 3,  // -> kDone
  kDone = 4,
  kPushPull = 5,  // -> kRows
  kRows = 6,
  kPull = 7,     // -> kRows
  kAssign = 9,   // -> kDone
  kEndJob = 11,  // -> kDone: this rank is through with the job
  kPing = 13,    // -> kPong
  kPong = 14,
  kQueryStatus = 15,  // -> kStatus
  kStatus = 16,
  kFailure = 18,        // answers any request
  kOpenSnapshots = 19,  // -> kDone
  kQuerySnapshot = 21,  // -> kSnapshot
  kSnapshot = 22,
  kBeginRestore = 23,  // -> kDone
  kRestoreRows = 25,   // -> kDone
};

/// The request id of a kPing or kPong that is a heartbeat: requests have ids from 1 up.
inline constexpr std::uint64_t kHeartbeatId = 0;

/// "push-pull", …; "type 77" for a number that is none.
[[nodiscard]] std::string MessageTypeName(std::uint16_t type);

// --- limits -------------------------------------------------------------------------------------

/// Largest body of a connection that has been welcomed, and of one that has not.
inline constexpr std::size_t kMaxBodyBytes = std::size_t{1} << 30;
inline constexpr std::size_t kMaxHelloBytes = std::size_t{8} << 10;  // a Failure fits, too
inline constexpr std::size_t kMaxNameBytes = 256;                    // of jobs and tables
inline constexpr std::size_t kMaxTokenBytes = 256;
inline constexpr std::size_t kMaxTables = 4096;
inline constexpr std::size_t kMaxNodes = 65536;  // of a push: gradients name them with 16 bits
inline constexpr std::uint32_t kMaxRanks = 65536;
inline constexpr std::uint64_t kMaxEpoch = std::uint64_t{1} << 62;  // there always is a next one
inline constexpr std::uint64_t kMaxEpochJump = std::uint64_t{1} << 32;  // above the highest before
inline constexpr std::uint32_t kMaxShards = 4096;                       // of one server
inline constexpr std::size_t kMaxFailureTextBytes = 4096;
inline constexpr std::size_t kMaxTextBytes = std::size_t{1} << 20;  // of a status, of a report
inline constexpr std::size_t kMaxPathBytes = 4096;
/// Values that one answer holds.
inline constexpr std::size_t kMaxPulledValues = kMaxBodyBytes / sizeof(float) - 4;

/// The request id of what a server tells unasked: a Failure, that the epoch is broken.
inline constexpr std::uint64_t kUnasked = 0;
/// Flags of a frame that this version knows: none. A frame with another one is refused.
inline constexpr std::uint32_t kKnownFlags = 0;

/// Whether a job may have this name: 1 to kMaxNameBytes bytes, no control characters; else
/// kInvalidArgument.
[[nodiscard]] Status CheckJobName(std::string_view name);
/// Whether a message holds these; the encoders take it for granted. kInvalidArgument.
[[nodiscard]] Status CheckLimits(std::span<const TableDefinition> tables);
[[nodiscard]] Status CheckLimits(std::span<const RowsToPull> pull);
[[nodiscard]] Status CheckLimits(const SnapshotPlace& place);

// --- handshake ----------------------------------------------------------------------------------

enum class Role : std::uint16_t {
  kWorker = 1,    // trains: one of `ranks`
  kObserver = 2,  // asks for the status only
};

/// The first message of a connection. The job's epoch stands in the frame.
struct Hello {
  Role role = Role::kWorker;
  std::uint32_t rank = 0;
  std::uint32_t ranks = 1;
  std::string job;    // observers: empty
  std::string token;  // shared secret; empty where the server asks for none
  /// Drawn by rank 0, the same for all ranks: tells this run from another one that has taken the
  /// same job and epoch at the same time. Observers: 0.
  std::uint64_t run = 0;
  friend bool operator==(const Hello&, const Hello&) = default;
};

/// The server's side of the handshake.
struct Welcome {
  std::uint64_t incarnation =
      0;  // drawn when the server's process started: another one has another memory
  std::uint32_t shards = 0;      // of this server
  std::uint64_t last_epoch = 0;  // highest epoch that this server has seen of any job; 0: none
  friend bool operator==(const Welcome&, const Welcome&) = default;
};

/// Why a request failed. code travels as a number of its own (not that of the enumeration).
struct Failure {
  StatusCode code = StatusCode::kInternal;
  std::string text;
  friend bool operator==(const Failure&, const Failure&) = default;
};

// --- decoded requests: spans point into the body
// --------------------------------------------------

/// Rows that a request asks for, of one table.
struct PullKeys {
  TableId table = 0;
  std::uint32_t dimension = 0;  // as the client knows it; the server compares
  std::span<const Key> keys;
};

/// What a push-pull carries; also owns the list that its PushRequest points to. Reuse one: the
/// lists keep their memory. Not copyable, since `push` points into it.
struct PushPullMessage {
  PushPullMessage() = default;
  PushPullMessage(const PushPullMessage&) = delete;
  PushPullMessage& operator=(const PushPullMessage&) = delete;

  std::uint32_t shard = 0;
  PushRequest push;
  std::vector<PullKeys> pull;

  std::vector<RowGradients> gradients;  // push.gradients
};

struct PullMessage {
  std::uint32_t shard = 0;
  std::vector<PullKeys> pull;
};

struct AssignMessage {
  std::uint32_t shard = 0;
  TableId table = 0;
  std::span<const Key> keys;
  std::span<const float> values;
};

struct CreateTablesMessage {
  std::uint32_t shard = 0;
  std::vector<TableDefinition> tables;
};

struct OpenSnapshotsMessage {
  std::uint32_t shard = 0;  // of the server
  SnapshotPlace place;
};

struct QuerySnapshotMessage {
  std::uint32_t shard = 0;
  Step step = 0;
};

struct BeginRestoreMessage {
  std::uint32_t shard = 0;
  Step step = 0;
  std::span<const float> step_sizes;
};

struct RestoreRowsMessage {
  std::uint32_t shard = 0;
  RowsToRestore rows;
};

/// The values of a pull, tables and rows in the order in which they were asked for.
struct RowsMessage {
  Step step = 0;        // the last step applied to them
  StepFlags flags = 0;  // the wishes of all ranks for that step
  std::span<const float> values;
};

// --- encoders: replace what `body` holds and reuse its memory -----------------------------------

using Body = ByteBuffer;

void Encode(const Hello& hello, Body& body);
void Encode(const Welcome& welcome, Body& body);
void Encode(const Failure& failure, Body& body);  // a text above kMaxFailureTextBytes is cut
void EncodeCreateTables(std::uint32_t shard, std::span<const TableDefinition> tables, Body& body);
/// These three take a table's dimension from its values. REQUIRES: sizes that fit one another. A
/// body above kMaxBodyBytes is refused where it would be sent (RequestMultiplexer::Add).
void EncodePushPull(std::uint32_t shard, const PushRequest& push, std::span<const RowsToPull> pull,
                    Body& body);
void EncodePull(std::uint32_t shard, std::span<const RowsToPull> pull, Body& body);
void EncodeAssign(std::uint32_t shard, TableId table, std::span<const Key> keys,
                  std::span<const float> values, Body& body);
/// Makes room for `count` values and returns it: to be filled in before `body` is touched again.
/// REQUIRES: count <= kMaxPulledValues.
std::span<float> EncodeRows(Step step, std::size_t count, Body& body, StepFlags flags = 0);
/// REQUIRES: CheckLimits(place) is OK.
void EncodeOpenSnapshots(std::uint32_t shard, const SnapshotPlace& place, Body& body);
void EncodeQuerySnapshot(std::uint32_t shard, Step step, Body& body);
void Encode(const SnapshotReport& report, Body& body);  // a text above kMaxTextBytes is cut
void EncodeBeginRestore(std::uint32_t shard, Step step, std::span<const float> step_sizes,
                        Body& body);
/// Sizes as EncodeAssign's.
void EncodeRestoreRows(std::uint32_t shard, const RowsToRestore& rows, Body& body);
void EncodeText(std::string_view text, Body& body);  // kStatus; cut at kMaxTextBytes
// The others (kDone, kEndJob, kPing, kPong, kQueryStatus) have empty bodies.

// --- decoders -----------------------------------------------------------------------------------
//
// kDataLoss, with the message's name, the byte and the field, where bytes make no sense; `out` is
// then of no use. REQUIRES: body.data() is a multiple of 8.

/// Hello and Welcome may go on with fields of a later version, which are not read.
[[nodiscard]] Result<Hello> DecodeHello(std::span<const std::byte> body);
[[nodiscard]] Result<Welcome> DecodeWelcome(std::span<const std::byte> body);
[[nodiscard]] Result<Failure> DecodeFailure(std::span<const std::byte> body);
[[nodiscard]] Status DecodeCreateTables(std::span<const std::byte> body, CreateTablesMessage& out);
/// Allocates nothing once `out` has held as many tables.
[[nodiscard]] Status DecodePushPull(std::span<const std::byte> body, PushPullMessage& out);
[[nodiscard]] Status DecodePull(std::span<const std::byte> body, PullMessage& out);
[[nodiscard]] Status DecodeAssign(std::span<const std::byte> body, AssignMessage& out);
[[nodiscard]] Status DecodeOpenSnapshots(std::span<const std::byte> body,
                                         OpenSnapshotsMessage& out);
[[nodiscard]] Status DecodeQuerySnapshot(std::span<const std::byte> body,
                                         QuerySnapshotMessage& out);
[[nodiscard]] Result<SnapshotReport> DecodeSnapshot(std::span<const std::byte> body);
[[nodiscard]] Status DecodeBeginRestore(std::span<const std::byte> body, BeginRestoreMessage& out);
[[nodiscard]] Status DecodeRestoreRows(std::span<const std::byte> body, RestoreRowsMessage& out);
[[nodiscard]] Result<RowsMessage> DecodeRows(std::span<const std::byte> body);
[[nodiscard]] Result<std::string_view> DecodeText(std::span<const std::byte> body);
[[nodiscard]] Status DecodeEmpty(MessageType type, std::span<const std::byte> body);

}  // namespace dcn::ps
