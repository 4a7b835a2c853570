#include "launch/sweep/toml_json.h"

#include <cmath>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "common/check.h"

namespace dcn::sweep {
namespace {

using nlohmann::json;

bool IsTableList(const json& node) {
  if (!node.is_array() || node.empty()) return false;
  for (const json& element : node) {
    if (!element.is_object()) return false;
  }
  return true;
}

std::string Quoted(const std::string& text) {
  // JSON's escapes are TOML's, but TOML wants this one escaped as well.
  std::string quoted = json(text).dump(-1, ' ', false, json::error_handler_t::replace);
  for (std::size_t at = 0; (at = quoted.find('\x7f', at)) != std::string::npos;) {
    quoted.replace(at, 1, "\\u007F");
  }
  return quoted;
}

std::string Key(const std::string& name) {
  constexpr std::string_view kBare =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const bool is_bare = !name.empty() && name.find_first_not_of(kBare) == std::string::npos;
  return is_bare ? name : Quoted(name);
}

/// A value on one line; tables inside of lists are inline tables.
std::string Value(const json& node) {
  if (node.is_string()) return Quoted(node.get<std::string>());
  if (node.is_boolean() || node.is_number_integer()) return node.dump();
  if (node.is_number_float()) {
    const auto number = node.get<double>();
    DCN_CHECK(std::isfinite(number));
    std::string text = fmt::format("{}", number);  // the shortest that reads back the same
    if (text.find_first_of(".e") == std::string::npos) text += ".0";
    return text;
  }
  std::string text;
  if (node.is_array()) {
    for (const json& element : node) text += (text.empty() ? "" : ", ") + Value(element);
    return "[" + text + "]";
  }
  DCN_CHECK(node.is_object());
  for (const auto& [key, element] : node.items()) {
    text += (text.empty() ? " " : ", ") + Key(key) + " = " + Value(element);
  }
  return "{" + text + " }";
}

void WriteTable(const json& table, const std::string& path, std::string& text) {
  for (const auto& [key, node] : table.items()) {
    if (!node.is_object() && !IsTableList(node)) text += Key(key) + " = " + Value(node) + "\n";
  }
  for (const auto& [key, node] : table.items()) {
    const std::string name = path.empty() ? Key(key) : path + "." + Key(key);
    if (node.is_object()) {
      text += "\n[" + name + "]\n";
      WriteTable(node, name, text);
    } else if (IsTableList(node)) {
      for (const json& element : node) {
        text += "\n[[" + name + "]]\n";
        WriteTable(element, name, text);
      }
    }
  }
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
  if (const auto* value = node.as_boolean()) return json(value->get());
  if (const auto* value = node.as_floating_point();
      value != nullptr && std::isfinite(value->get())) {
    return json(value->get());
  }
  return Error(StatusCode::kInvalidArgument,
               "line {}: expected a string, a finite number, true, false, a list or a table",
               node.source().begin.line);
}

std::string TomlFromJson(const json& options) {
  std::string text;
  WriteTable(options, "", text);
  return text;
}

}  // namespace dcn::sweep
