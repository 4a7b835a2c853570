#include "worker/train/parameters.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "ps/partition.h"

namespace dcn::train {
namespace {

// Rows that one request reads: large enough for few requests, small beside a table.
constexpr std::size_t kRowsPerRequest = 65536;

// Reads rows [begin, begin + count) of a table into out[count, dimension].
Status ReadRows(Shards& shards, ps::TableId table, std::size_t dimension, std::size_t begin,
                std::size_t count, float* out) {
  const auto shard_count = static_cast<std::uint32_t>(shards.size());
  for (std::uint32_t s = 0; s < shard_count; ++s) {
    std::vector<ps::Key> keys;
    for (std::size_t key = begin; key < begin + count; ++key) {
      if (ps::ShardOf(table, key, shard_count) == s) keys.push_back(key);
    }
    std::vector<float> values(keys.size() * dimension);
    const ps::RowsToPull pull{.table = table, .keys = keys, .values = values};
    shards[s]->StartPull(std::span(&pull, 1));
    DCN_RETURN_IF_ERROR(shards[s]->Finish());
    for (std::size_t i = 0; i < keys.size(); ++i) {
      std::copy_n(&values[i * dimension], dimension, out + (keys[i] - begin) * dimension);
    }
  }
  return Status();
}

}  // namespace

Result<Parameters> Parameters::Read(const model::ModelSpec& spec, Shards& shards,
                                    std::span<const float> dense) {
  Parameters parameters;
  for (std::size_t f = 0; f < spec.features.size(); ++f) {
    const model::FeatureSpec& feature = spec.features[f];
    std::vector<float>& table = parameters.tables_.emplace_back(feature.rows * feature.dimension);
    for (std::size_t begin = 0; begin < feature.rows; begin += kRowsPerRequest) {
      const std::size_t count = std::min(kRowsPerRequest, feature.rows - begin);
      DCN_RETURN_IF_ERROR(ReadRows(shards, static_cast<ps::TableId>(f), feature.dimension, begin,
                                   count, &table[begin * feature.dimension]));
    }
    parameters.tensors_.push_back({.name = "embedding/" + feature.name,
                                   .shape = {feature.rows, feature.dimension},
                                   .values = table});
  }
  parameters.dense_.assign(dense.begin(), dense.end());
  const std::span<const float> copied = parameters.dense_;
  for (const model::DenseParameter& tensor : spec.DenseParameters()) {
    parameters.tensors_.push_back({.name = tensor.name,
                                   .shape = tensor.shape,
                                   .values = copied.subspan(tensor.offset, tensor.size)});
  }
  return parameters;
}

Status AssignTable(Shards& shards, ps::TableId table, std::size_t dimension,
                   std::span<const float> values) {
  const auto shard_count = static_cast<std::uint32_t>(shards.size());
  for (std::uint32_t s = 0; s < shard_count; ++s) {
    std::vector<ps::Key> keys;
    std::vector<float> rows;
    for (std::size_t key = 0; key < values.size() / dimension; ++key) {
      if (ps::ShardOf(table, key, shard_count) != s) continue;
      keys.push_back(key);
      const auto row = values.subspan(key * dimension, dimension);
      rows.insert(rows.end(), row.begin(), row.end());
    }
    DCN_RETURN_IF_ERROR(shards[s]->Assign(table, keys, rows));
  }
  return Status();
}

}  // namespace dcn::train
