#include "ps/snapshot_file.h"

#include <fmt/format.h>

#include "common/check.h"

namespace dcn::ps {

std::string SnapshotFolderName(Step step, std::uint64_t epoch) {
  return fmt::format("step-{:012}-epoch-{}", step, epoch);
}

std::string SnapshotFileName(std::uint32_t shard, std::uint32_t shards) {
  return fmt::format("shard-{}-of-{}.safetensors", shard, shards);
}

std::vector<std::string_view> StateNames(const OptimizerOptions& optimizer) {
  if (std::holds_alternative<AdagradOptions>(optimizer)) return {"accumulator"};
  if (std::holds_alternative<SgdOptions>(optimizer)) return {};
  return {"m", "v"};
}

std::vector<TensorInfo> SnapshotTensors(std::span<const TableDefinition> tables,
                                        std::span<const std::size_t> rows) {
  DCN_CHECK_EQ(tables.size(), rows.size());
  std::vector<TensorInfo> tensors;
  for (std::size_t t = 0; t < tables.size(); ++t) {
    tensors.push_back({tables[t].name + "/keys", Dtype::kU64, {rows[t]}});
  }
  for (std::size_t t = 0; t < tables.size(); ++t) {
    const std::vector<std::size_t> shape = {rows[t], tables[t].dimension};
    tensors.push_back({tables[t].name + "/last_step", Dtype::kU32, {rows[t]}});
    tensors.push_back({tables[t].name + "/weights", Dtype::kF32, shape});
    for (const std::string_view state : StateNames(tables[t].optimizer)) {
      tensors.push_back({fmt::format("{}/{}", tables[t].name, state), Dtype::kF32, shape});
    }
  }
  return tensors;
}

Result<SnapshotTable> ReadSnapshotTable(const SafetensorsFile& file, const TableDefinition& table) {
  SnapshotTable read;
  DCN_ASSIGN_OR_RETURN(read.keys, file.Values<Key>(table.name + "/keys"));
  DCN_ASSIGN_OR_RETURN(read.last_steps, file.Values<std::uint32_t>(table.name + "/last_step"));
  if (read.last_steps.size() != read.keys.size()) {
    return Error(StatusCode::kDataLoss, "table '{}' has {} keys and {} last steps", table.name,
                 read.keys.size(), read.last_steps.size());
  }
  std::vector<std::string_view> columns = StateNames(table.optimizer);
  columns.insert(columns.begin(), "weights");
  for (const std::string_view column : columns) {
    DCN_ASSIGN_OR_RETURN(const auto values,
                         file.Values<float>(fmt::format("{}/{}", table.name, column)));
    if (values.size() != read.keys.size() * table.dimension) {
      return Error(StatusCode::kDataLoss, "table '{}': {} of {} values for {} rows of {}",
                   table.name, column, values.size(), read.keys.size(), table.dimension);
    }
    read.columns.push_back(values);
  }
  return read;
}

}  // namespace dcn::ps
