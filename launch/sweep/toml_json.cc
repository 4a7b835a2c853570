#include "launch/sweep/toml_json.h"

#include <cstdint>
#include <sstream>
#include <utility>

#include "common/check.h"

namespace dcn::sweep {
namespace {

using nlohmann::json;

toml::table TableFromJson(const json& object);
toml::array ArrayFromJson(const json& list);

/// Calls use(value) with the TOML form of `node`.
template <typename Use>
void WithTomlValue(const json& node, Use&& use) {
  switch (node.type()) {
    case json::value_t::boolean:
      return use(node.get<bool>());
    case json::value_t::number_integer:
    case json::value_t::number_unsigned:
      return use(node.get<std::int64_t>());
    case json::value_t::number_float:
      return use(node.get<double>());
    case json::value_t::string:
      return use(node.get<std::string>());
    case json::value_t::object:
      return use(TableFromJson(node));
    case json::value_t::array:
      return use(ArrayFromJson(node));
    case json::value_t::null:
    case json::value_t::binary:
    case json::value_t::discarded:
      break;
  }
  DCN_CHECK(!"an option without a TOML form");
}

toml::table TableFromJson(const json& object) {
  toml::table table;
  for (const auto& [key, node] : object.items()) {
    WithTomlValue(
        node, [&, &name = key](auto&& value) { table.insert_or_assign(name, std::move(value)); });
  }
  return table;
}

toml::array ArrayFromJson(const json& list) {
  toml::array array;
  for (const json& element : list) {
    WithTomlValue(element, [&](auto&& value) { array.push_back(std::move(value)); });
  }
  return array;
}

}  // namespace

Result<json> JsonFromToml(const toml::node& node) {
  if (const auto* table = node.as_table()) {
    json object = json::object();
    for (const auto& [key, child] : *table) {
      DCN_ASSIGN_OR_RETURN(object[std::string(key.str())], JsonFromToml(child));
    }
    return object;
  }
  if (const auto* array = node.as_array()) {
    json list = json::array();
    for (const toml::node& child : *array) {
      DCN_ASSIGN_OR_RETURN(json element, JsonFromToml(child));
      list.push_back(std::move(element));
    }
    return list;
  }
  if (const auto* value = node.as_string()) return json(value->get());
  if (const auto* value = node.as_integer()) return json(value->get());
  if (const auto* value = node.as_floating_point()) return json(value->get());
  if (const auto* value = node.as_boolean()) return json(value->get());
  return Error(StatusCode::kInvalidArgument,
               "line {}: expected a string, number, boolean, list or table, not a date or time",
               node.source().begin.line);
}

std::string TomlFromJson(const json& options) {
  std::ostringstream text;
  text << toml::toml_formatter(TableFromJson(options)) << "\n";
  return text.str();
}

}  // namespace dcn::sweep
