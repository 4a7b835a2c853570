// The file that a shard writes for a checkpoint: its rows, with their optimizer state, unreplayed.
//
// One safetensors file a shard. Of each table, with R rows of D floats, in any order of rows:
//
//   <table>/keys       U64 [R]      <table>/weights      F32 [R, D]
//   <table>/last_step  U32 [R]      <table>/m, /v        F32 [R, D]  adam, lazy-adam
//                                   <table>/accumulator  F32 [R, D]  adagrad
//
// last_step is the step that a row's weights and state stand at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/file/safetensors.h"
#include "common/status.h"
#include "ps/protocol.h"

namespace dcn::ps {

/// The folder of one checkpoint below the job's: "step-000000000040-epoch-3". No two lives of a job
/// write into the same one.
[[nodiscard]] std::string SnapshotFolderName(Step step, std::uint64_t epoch);

/// "shard-0-of-2.safetensors".
[[nodiscard]] std::string SnapshotFileName(std::uint32_t shard, std::uint32_t shards);

/// Names of an optimizer's states, as they follow the weights in a row's record.
[[nodiscard]] std::vector<std::string_view> StateNames(const OptimizerOptions& optimizer);

/// The arrays of a file: for each table keys, then for each table last_step, weights and states.
/// rows: by table.
[[nodiscard]] std::vector<TensorInfo> SnapshotTensors(std::span<const TableDefinition> tables,
                                                      std::span<const std::size_t> rows);

/// One table as a file has it; the spans are the file's.
struct SnapshotTable {
  std::span<const Key> keys;
  std::span<const std::uint32_t> last_steps;    // [keys.size()]
  std::vector<std::span<const float>> columns;  // weights, then states: [keys.size(), dimension]
};

/// kDataLoss: an array is missing or has another shape than its table's.
[[nodiscard]] Result<SnapshotTable> ReadSnapshotTable(const SafetensorsFile& file,
                                                      const TableDefinition& table);

}  // namespace dcn::ps
