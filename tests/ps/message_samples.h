// Messages of every kind in many sizes, with their bytes.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "common/check.h"
#include "ps/message.h"
#include "tests/ps/message_codecs.h"

namespace dcn::ps::testing {

/// Rows of one table that own what they hold. Among the values are NaNs, infinities, -0.
struct SampleRows {
  TableId table = 0;
  std::vector<Key> keys;
  std::vector<std::uint16_t> nodes;
  std::vector<float> values;

  SampleRows(TableId id, std::size_t count, std::size_t dimension) : table(id) {
    for (std::size_t i = 0; i < count; ++i) {
      keys.push_back(0xfedc'ba98'0000'0000ULL + i * 1'000'003);
      nodes.push_back(static_cast<std::uint16_t>(65535 - i));
    }
    constexpr std::uint32_t kOdd[] = {0x7fa00001, 0x80000000, 0x7f800000, 0xff800000, 1};
    for (std::size_t i = 0; i < count * dimension; ++i) {
      values.push_back(i % 7 < 5 ? std::bit_cast<float>(kOdd[i % 7]) : static_cast<float>(i));
    }
  }
  [[nodiscard]] RowGradients gradients() const { return {table, keys, nodes, values}; }
  [[nodiscard]] RowsToPull pull() { return {table, keys, values}; }
};

/// A step of `tables` tables (of 1, 2, 3 … floats a row) with `count` rows each, pushed and pulled.
struct SampleStep {
  std::vector<TreeNode> nodes;
  std::vector<SampleRows> rows;
  std::vector<RowGradients> gradients;
  std::vector<RowsToPull> pull;

  SampleStep(std::size_t node_count, std::size_t tables, std::size_t count) {
    for (std::uint32_t i = 0; i < node_count; ++i) nodes.push_back({i, 7 * i});
    for (std::size_t i = 0; i < tables; ++i) {
      rows.emplace_back(static_cast<TableId>(i * 1000), count, i + 1);
    }
    for (SampleRows& table : rows) gradients.push_back(table.gradients());
    for (SampleRows& table : rows) pull.push_back(table.pull());
  }
  [[nodiscard]] PushRequest push() const {
    return {.rank = 3,
            .step = 1ULL << 40,
            .learning_rate = 0.01F,
            .nodes = nodes,
            .gradients = gradients,
            .flags = kTakesSnapshot};
  }
};

/// One table of each optimizer, the first `count` of them, and again from the start.
inline std::vector<TableDefinition> SampleTables(std::size_t count) {
  const std::vector<TableDefinition> all = {
      {"embedding/movie_id", 32, {.seed = 1ULL << 63, .limit = 0.25F}, AdamOptions{0.8F, 0.9F, 1}},
      {"b", 1, {}, LazyAdamOptions{0.7F, 0.99F, 1e-3F}},
      {"", 0, {}, AdagradOptions{0.5F, 1e-5F}},
      {std::string(kMaxNameBytes, 'x'), 0xffffffff, {}, SgdOptions{}}};
  std::vector<TableDefinition> tables;
  for (std::size_t i = 0; i < count; ++i) tables.push_back(all[i % all.size()]);
  return tables;
}

inline const MessageCodec& CodecOf(std::string_view name) {
  for (const MessageCodec& codec : kMessageCodecs) {
    if (codec.name == name) return codec;
  }
  DCN_CHECK(false);
}

/// The bytes of a message.
struct MessageSample {
  const MessageCodec& codec;
  Body body;
};

template <typename EncodeInto>
void AddSample(std::vector<MessageSample>& samples, std::string_view name, EncodeInto encode) {
  samples.push_back({CodecOf(name), {}});
  encode(samples.back().body);
}

inline void AddSteps(std::vector<MessageSample>& samples) {
  for (const std::size_t tables : {0U, 1U, 3U}) {
    for (const std::size_t count : {0U, 1U, 7U}) {
      SampleStep step(count, tables, count);
      AddSample(samples, "push-pull",
                [&](Body& out) { EncodePushPull(2, step.push(), step.pull, out); });
      AddSample(samples, "pull", [&](Body& out) { EncodePull(2, step.pull, out); });
    }
  }
}

/// All kinds, in sizes of 0, 1 and some odd ones.
inline std::vector<MessageSample> AllSamples() {
  std::vector<MessageSample> samples;
  const std::string long_text(kMaxNameBytes, 'j');
  for (const Hello& hello :
       {Hello{Role::kWorker, 2, 3, "job", "secret", ~std::uint64_t{0}},
        Hello{Role::kWorker, 0, 1, "j", ""}, Hello{Role::kObserver, 0, 1, "", ""},
        Hello{Role::kWorker, kMaxRanks - 1, kMaxRanks, long_text, long_text}}) {
    AddSample(samples, "hello", [&](Body& out) { Encode(hello, out); });
  }
  AddSample(samples, "welcome", [&](Body& out) { Encode(Welcome{~0ULL, 3, 77}, out); });
  for (const std::size_t count : {0U, 1U, 7U, 133U}) {
    const std::string text(count, 't');
    const Failure failure = {StatusCode::kUnavailable, text};
    SampleRows rows(9, count, 3);
    AddSample(samples, "failure", [&](Body& out) { Encode(failure, out); });
    AddSample(samples, "status", [&](Body& out) { EncodeText(text, out); });
    AddSample(samples, "assign",
              [&](Body& out) { EncodeAssign(1, rows.table, rows.keys, rows.values, out); });
    AddSample(samples, "rows", [&](Body& out) {
      std::ranges::copy(rows.values, EncodeRows(5, rows.values.size(), out, kWantsStop).begin());
    });
    const std::vector<std::uint32_t> last_steps(count, 0xffffffffU);
    AddSample(samples, "begin-restore",
              [&](Body& out) { EncodeBeginRestore(3, count, rows.values, out); });
    AddSample(samples, "restore-rows", [&](Body& out) {
      EncodeRestoreRows(3, {rows.table, rows.keys, last_steps, rows.values}, out);
    });
    const SnapshotPlace place = {text, text, ~0ULL, static_cast<std::uint32_t>(count), 134};
    AddSample(samples, "open-snapshots", [&](Body& out) { EncodeOpenSnapshots(3, place, out); });
    const SnapshotReport report = {SnapshotReport::State::kDone, count, ~0ULL, 0.5, text};
    AddSample(samples, "snapshot", [&](Body& out) { Encode(report, out); });
  }
  for (const std::size_t count : {0U, 1U, 3U, 9U}) {
    AddSample(samples, "create-tables",
              [&](Body& out) { EncodeCreateTables(4, SampleTables(count), out); });
  }
  AddSteps(samples);
  AddSample(samples, "query-snapshot", [](Body& out) { EncodeQuerySnapshot(3, ~0ULL, out); });
  AddSample(samples, "ping", [](Body& out) { out.clear(); });
  return samples;
}

}  // namespace dcn::ps::testing
