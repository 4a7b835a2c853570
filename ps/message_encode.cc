#include <algorithm>

#include "ps/message.h"
#include "ps/message_bytes.h"
#include "ps/message_numbers.h"

namespace dcn::ps {
namespace {

// The first bytes of `text`, at most `limit`, without half a UTF-8 character at the end.
std::string_view Cut(std::string_view text, std::size_t limit) {
  if (text.size() <= limit) return text;
  const auto is_continuation = [&](std::size_t at) {
    return (static_cast<unsigned char>(text[at]) & 0xc0U) == 0x80U;
  };
  std::size_t end = limit;
  while (end > 0 && limit - end < 3 && is_continuation(end)) --end;
  return text.substr(0, end);
}

// Values a key; 0 where there is no key.
std::uint32_t Dimension(std::size_t keys, std::size_t values) {
  if (keys == 0) {
    DCN_CHECK_EQ(values, std::size_t{0});
    return 0;
  }
  DCN_CHECK_EQ(values % keys, std::size_t{0});
  DCN_CHECK_LE(values / keys, std::size_t{std::numeric_limits<std::uint32_t>::max()});
  return static_cast<std::uint32_t>(values / keys);
}

void WriteName(MessageWriter& out, std::string_view name) {
  DCN_CHECK_LE(name.size(), kMaxNameBytes);
  out.WriteText(name);
}

// By what an optimizer is; its parameters follow its number.
struct OptimizerWriter {
  MessageWriter& out;

  void operator()(const AdamOptions& adam) const {
    out.Write(OptimizerNumber::kAdam);
    WriteMoments(adam);
  }
  void operator()(const LazyAdamOptions& adam) const {
    out.Write(OptimizerNumber::kLazyAdam);
    WriteMoments(adam);
  }
  void operator()(const AdagradOptions& adagrad) const {
    out.Write(OptimizerNumber::kAdagrad);
    out.Write(adagrad.initial_accumulator);
    out.Write(adagrad.epsilon);
  }
  void operator()(const SgdOptions&) const { out.Write(OptimizerNumber::kSgd); }

  template <typename Options>
  void WriteMoments(const Options& adam) const {
    out.Write(adam.beta_1);
    out.Write(adam.beta_2);
    out.Write(adam.epsilon);
  }
};

void WriteTable(MessageWriter& out, const TableDefinition& table) {
  WriteName(out, table.name);
  out.Write(table.dimension);
  out.Write(table.initializer.seed);
  out.Write(table.initializer.limit);
  std::visit(OptimizerWriter{out}, table.optimizer);
}

void WriteTableCount(MessageWriter& out, std::size_t count) {
  DCN_CHECK_LE(count, kMaxTables);
  out.WriteCount(count);
}

// What stands before every array of keys.
void WriteRowsHead(MessageWriter& out, TableId table, std::size_t keys, std::size_t values) {
  out.Write(table);
  out.WriteCount(keys);
  out.Write(Dimension(keys, values));
}

void WritePull(MessageWriter& out, std::span<const RowsToPull> pull) {
  for (const RowsToPull& rows : pull) {
    WriteRowsHead(out, rows.table, rows.keys.size(), rows.values.size());
    out.WriteArray(rows.keys);
  }
}

void WriteGradients(MessageWriter& out, const RowGradients& rows) {
  DCN_CHECK_EQ(rows.nodes.size(), rows.keys.size());
  WriteRowsHead(out, rows.table, rows.keys.size(), rows.values.size());
  out.WriteArray(rows.keys);
  out.WriteArray(rows.nodes);
  out.WriteArray(rows.values);
}

}  // namespace

void Encode(const Hello& hello, Body& body) {
  DCN_CHECK_LE(hello.token.size(), kMaxTokenBytes);
  MessageWriter out(body);
  out.Write(hello.role);
  out.Write(hello.rank);
  out.Write(hello.ranks);
  WriteName(out, hello.job);
  out.WriteText(hello.token);
  out.Write(hello.run);
}

void Encode(const Welcome& welcome, Body& body) {
  MessageWriter out(body);
  out.Write(welcome.incarnation);
  out.Write(welcome.shards);
  out.Write(welcome.last_epoch);
}

void Encode(const Failure& failure, Body& body) {
  const auto number = NumberOfStatusCode(failure.code);
  DCN_CHECK(number.has_value());
  MessageWriter out(body);
  out.Write(*number);
  out.WriteText(Cut(failure.text, kMaxFailureTextBytes));
}

void EncodeCreateTables(std::uint32_t shard, std::span<const TableDefinition> tables, Body& body) {
  MessageWriter out(body);
  out.Write(shard);
  WriteTableCount(out, tables.size());
  for (const TableDefinition& table : tables) WriteTable(out, table);
}

void EncodePushPull(std::uint32_t shard, const PushRequest& push, std::span<const RowsToPull> pull,
                    Body& body) {
  DCN_CHECK_LE(push.nodes.size(), kMaxNodes);
  MessageWriter out(body);
  out.Write(shard);
  out.Write(push.rank);
  out.Write(push.step);
  out.Write(push.learning_rate);
  out.WriteCount(push.nodes.size());
  WriteTableCount(out, push.gradients.size());
  WriteTableCount(out, pull.size());
  out.Write(std::uint64_t{push.flags});
  out.WriteArray(push.nodes);
  for (const RowGradients& rows : push.gradients) WriteGradients(out, rows);
  WritePull(out, pull);
}

void EncodePull(std::uint32_t shard, std::span<const RowsToPull> pull, Body& body) {
  MessageWriter out(body);
  out.Write(shard);
  WriteTableCount(out, pull.size());
  WritePull(out, pull);
}

void EncodeAssign(std::uint32_t shard, TableId table, std::span<const Key> keys,
                  std::span<const float> values, Body& body) {
  MessageWriter out(body);
  out.Write(shard);
  WriteRowsHead(out, table, keys.size(), values.size());
  out.WriteArray(keys);
  out.WriteArray(values);
}

std::span<float> EncodeRows(Step step, std::size_t count, Body& body, StepFlags flags) {
  DCN_CHECK_LE(count, kMaxPulledValues);
  constexpr std::size_t kHeadBytes = 2 * sizeof(std::uint64_t);
  static_assert(kHeadBytes % kArrayAlignment == 0);
  // Not cleared: what is as long as the last one is not filled with zeros first.
  body.resize(kHeadBytes + count * sizeof(float));
  StoreLittleEndian(step, body.data());
  StoreLittleEndian(static_cast<std::uint32_t>(count), body.data() + sizeof(std::uint64_t));
  StoreLittleEndian(flags, body.data() + sizeof(std::uint64_t) + sizeof(std::uint32_t));
  return {reinterpret_cast<float*>(body.data() + kHeadBytes), count};
}

void EncodeOpenSnapshots(std::uint32_t shard, const SnapshotPlace& place, Body& body) {
  DCN_CHECK(CheckLimits(place).ok());
  MessageWriter out(body);
  out.Write(shard);
  out.WriteText(place.folder);
  out.WriteText(place.nonce);
  out.Write(place.epoch);
  out.Write(place.shard);
  out.Write(place.shards);
}

void EncodeQuerySnapshot(std::uint32_t shard, Step step, Body& body) {
  MessageWriter out(body);
  out.Write(shard);
  out.Write(step);
}

void Encode(const SnapshotReport& report, Body& body) {
  MessageWriter out(body);
  out.Write(report.state);
  out.Write(report.step);
  out.Write(report.rows);
  out.Write(report.stall_seconds);
  out.WriteText(Cut(report.text, kMaxTextBytes));
}

void EncodeBeginRestore(std::uint32_t shard, Step step, std::span<const float> step_sizes,
                        Body& body) {
  MessageWriter out(body);
  out.Write(shard);
  out.Write(step);
  out.WriteCount(step_sizes.size());
  out.WriteArray(step_sizes);
}

void EncodeRestoreRows(std::uint32_t shard, const RowsToRestore& rows, Body& body) {
  DCN_CHECK_EQ(rows.last_steps.size(), rows.keys.size());
  MessageWriter out(body);
  out.Write(shard);
  WriteRowsHead(out, rows.table, rows.keys.size(), rows.records.size());
  out.WriteArray(rows.keys);
  out.WriteArray(rows.last_steps);
  out.WriteArray(rows.records);
}

void EncodeText(std::string_view text, Body& body) {
  MessageWriter(body).WriteText(Cut(text, kMaxTextBytes));
}

}  // namespace dcn::ps
