#include "launch/main/model_table.h"

#include <algorithm>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace dcn::launch {
namespace {

// Reads keys of one TOML table; remembers where it is for the messages.
class TableReader {
 public:
  TableReader(const toml::table& table, std::string prefix, const std::string& file)
      : table_(table), prefix_(std::move(prefix)), file_(file) {}

  [[nodiscard]] Status Fail(const toml::node& node, std::string_view key,
                            std::string_view expected) const {
    return Error(StatusCode::kInvalidArgument, "{}:{}: {}{}: expected {}", file_,
                 node.source().begin.line, prefix_, key, expected);
  }

  // Only these keys may stand in the table.
  [[nodiscard]] Status AllowOnly(const std::set<std::string_view>& keys) const {
    for (const auto& [key, node] : table_) {
      if (keys.contains(key.str())) continue;
      std::string known;
      for (const std::string_view name : keys)
        known += (known.empty() ? "" : ", ") + std::string(name);
      return Error(StatusCode::kInvalidArgument, "{}:{}: {}{}: unknown key; valid ones: {}", file_,
                   key.source().begin.line, prefix_, key.str(), known);
    }
    return Status();
  }

  [[nodiscard]] Status ReadWidth(const toml::node& node, std::string_view key, std::int64_t least,
                                 std::uint32_t& out) const {
    const auto value = node.value_exact<std::int64_t>();
    constexpr std::int64_t kMost = 65536;
    if (!value || *value < least || *value > kMost) {
      return Fail(node, key, fmt::format("a whole number in {} .. {}", least, kMost));
    }
    out = static_cast<std::uint32_t>(*value);
    return Status();
  }

 private:
  const toml::table& table_;
  const std::string prefix_;
  const std::string& file_;
};

Status ReadCrossLayer(const toml::table& table, const std::string& file,
                      model::CrossLayerSpec& layer) {
  const TableReader reader(table, "model.cross.", file);
  DCN_RETURN_IF_ERROR(reader.AllowOnly({"projection-dimension", "diag-scale", "preactivation"}));
  if (const toml::node* node = table.get("projection-dimension")) {
    DCN_RETURN_IF_ERROR(
        reader.ReadWidth(*node, "projection-dimension", 0, layer.projection_dimension));
  }
  if (const toml::node* node = table.get("diag-scale")) {
    const auto value = node->value<double>();
    if (!value || !(*value >= 0) || *value > 1e6) {
      return reader.Fail(*node, "diag-scale", "a number in 0 .. 1e6");
    }
    layer.diag_scale = static_cast<float>(*value);
  }
  if (const toml::node* node = table.get("preactivation")) {
    const auto value = node->value_exact<std::string>();
    const Result<model::Activation> activation = model::ParseActivation(value.value_or(""));
    if (!activation.ok()) {
      return reader.Fail(*node, "preactivation",
                         "one of \"none\", \"relu\", \"tanh\", \"sigmoid\"");
    }
    layer.preactivation = *activation;
  }
  return Status();
}

Status ReadDimensions(const toml::node& node, const TableReader& reader, ModelTable& model) {
  if (!node.is_table()) {
    return reader.ReadWidth(node, "embedding-dimension", 1, model.embedding_dimension);
  }
  for (const auto& [feature, width] : *node.as_table()) {
    DCN_RETURN_IF_ERROR(reader.ReadWidth(width,
                                         fmt::format("embedding-dimension.{}", feature.str()), 1,
                                         model.feature_dimension[std::string(feature.str())]));
  }
  return Status();
}

}  // namespace

Result<ModelTable> ParseModelTable(const toml::table& table, const std::string& file) {
  const TableReader reader(table, "model.", file);
  DCN_RETURN_IF_ERROR(reader.AllowOnly({"name", "embedding-dimension", "deep", "cross"}));
  ModelTable model;
  if (const toml::node* node = table.get("name")) {
    const auto name = node->value_exact<std::string>();
    if (!name || name->empty()) return reader.Fail(*node, "name", "a text");
    model.name = *name;
  }
  if (const toml::node* node = table.get("embedding-dimension")) {
    DCN_RETURN_IF_ERROR(ReadDimensions(*node, reader, model));
  }
  if (const toml::node* node = table.get("deep")) {
    if (!node->is_array()) return reader.Fail(*node, "deep", "a list of widths");
    for (const toml::node& width : *node->as_array()) {
      DCN_RETURN_IF_ERROR(reader.ReadWidth(width, "deep", 1, model.deep.emplace_back()));
    }
  }
  if (const toml::node* node = table.get("cross")) {
    if (!node->is_array()) return reader.Fail(*node, "cross", "a list of tables [[model.cross]]");
    for (const toml::node& layer : *node->as_array()) {
      if (!layer.is_table()) return reader.Fail(layer, "cross", "a table [[model.cross]]");
      DCN_RETURN_IF_ERROR(ReadCrossLayer(*layer.as_table(), file, model.cross.emplace_back()));
    }
  }
  return model;
}

Result<std::vector<model::FeatureSpec>> MakeFeatures(
    const std::vector<data::Vocabulary>& vocabularies, std::uint32_t embedding_dimension,
    const std::map<std::string, std::uint32_t>& feature_dimension) {
  std::vector<model::FeatureSpec> features;
  for (const data::Vocabulary& vocabulary : vocabularies) {
    const auto own = feature_dimension.find(vocabulary.feature);
    features.push_back(
        {.name = vocabulary.feature,
         .rows = vocabulary.table_rows(),
         .dimension = own == feature_dimension.end() ? embedding_dimension : own->second});
  }
  for (const auto& [name, dimension] : feature_dimension) {
    const bool is_known = std::any_of(features.begin(), features.end(),
                                      [&name = name](const auto& f) { return f.name == name; });
    if (is_known) continue;
    std::vector<std::string> names;
    for (const auto& feature : features) names.push_back(feature.name);
    return Error(StatusCode::kInvalidArgument,
                 "model.embedding-dimension.{}: the data set has no such feature; it has {}", name,
                 fmt::join(names, ", "));
  }
  return features;
}

}  // namespace dcn::launch
