#include "worker/checkpoint/checkpoint_reader.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "ps/partition.h"
#include "ps/snapshot_file.h"

namespace dcn::checkpoint {
namespace {

// What goes out in one request, whatever the width of its rows: far below the largest body of a
// connection. One row, of the widest table, is smaller.
constexpr std::size_t kBytesPerRequest = std::size_t{16} << 20;
constexpr std::size_t kRowsPerRequest = 65536;

std::size_t RowsPerRequest(const ps::SnapshotTable& from, std::size_t dimension) {
  const std::size_t row_bytes =
      sizeof(ps::Key) + sizeof(std::uint32_t) + from.columns.size() * dimension * sizeof(float);
  return std::clamp<std::size_t>(kBytesPerRequest / row_bytes, 1, kRowsPerRequest);
}

// The rows of one shard on their way.
struct Batch {
  std::vector<ps::Key> keys;
  std::vector<std::uint32_t> last_steps;
  std::vector<float> records;
};

// Sends rows [begin, end) of a file's table, each to its shard.
Status SendRows(const ps::SnapshotTable& from, ps::TableId table, std::size_t dimension,
                std::size_t begin, std::size_t end, train::Shards& shards) {
  const auto shard_count = static_cast<std::uint32_t>(shards.size());
  std::vector<Batch> batches(shards.size());
  for (std::size_t row = begin; row < end; ++row) {
    Batch& batch = batches[ps::ShardOf(table, from.keys[row], shard_count)];
    batch.keys.push_back(from.keys[row]);
    batch.last_steps.push_back(from.last_steps[row]);
    for (const std::span<const float> column : from.columns) {
      const auto values = column.subspan(row * dimension, dimension);
      batch.records.insert(batch.records.end(), values.begin(), values.end());
    }
  }
  for (std::size_t s = 0; s < shards.size(); ++s) {
    const Batch& batch = batches[s];
    if (batch.keys.empty()) continue;
    DCN_RETURN_IF_ERROR(shards[s]->RestoreRows({.table = table,
                                                .keys = batch.keys,
                                                .last_steps = batch.last_steps,
                                                .records = batch.records}));
  }
  return Status();
}

}  // namespace

Result<CheckpointReader> CheckpointReader::Open(const std::filesystem::path& folder,
                                                std::size_t rank, std::size_t ranks) {
  DCN_ASSIGN_OR_RETURN(Manifest manifest, ReadManifest(folder));
  std::vector<std::string> names = {kDenseFile};
  for (std::uint32_t shard = 0; shard < manifest.shards; ++shard) {
    if (shard % ranks == rank) names.push_back(ps::SnapshotFileName(shard, manifest.shards));
  }
  CheckpointReader reader(std::move(manifest));
  for (const std::string& name : names) {
    const auto record = reader.manifest_.files.find(name);
    if (record == reader.manifest_.files.end()) {
      return Error(StatusCode::kDataLoss, "{}: names no file {}", (folder / kManifestFile).string(),
                   name);
    }
    DCN_ASSIGN_OR_RETURN(SafetensorsFile file, OpenCheckedTensors(folder / name, record->second));
    reader.files_.emplace(name, std::move(file));
  }
  return reader;
}

Result<DensePart> CheckpointReader::ReadDense(const model::ModelSpec& spec,
                                              const ps::OptimizerOptions& optimizer) const {
  return ReadDenseFile(files_.at(kDenseFile), spec, optimizer, manifest_.step);
}

Status CheckpointReader::RestoreRows(std::span<const ps::TableDefinition> tables,
                                     train::Shards& shards) const {
  for (const auto& [name, file] : files_) {
    if (name == kDenseFile) continue;
    for (std::size_t t = 0; t < tables.size(); ++t) {
      DCN_ASSIGN_OR_RETURN(const ps::SnapshotTable table, ps::ReadSnapshotTable(file, tables[t]));
      const std::size_t count = RowsPerRequest(table, tables[t].dimension);
      for (std::size_t begin = 0; begin < table.keys.size(); begin += count) {
        DCN_RETURN_IF_ERROR(SendRows(table, static_cast<ps::TableId>(t), tables[t].dimension, begin,
                                     std::min(begin + count, table.keys.size()), shards));
      }
    }
  }
  return Status();
}

}  // namespace dcn::checkpoint
